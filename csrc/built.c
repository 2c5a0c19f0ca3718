#include "built.h"

#ifndef FS_BUILT_OF /* given by build_hook.py */
#define FS_BUILT_OF 0
#endif

uint32_t fs_built_of(void)
{
    return FS_BUILT_OF;
}
