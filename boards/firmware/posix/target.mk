TARGETS += posix
posix.cc := $(CC)
posix.size := size
posix.core := $(filter-out main,$(CORE))
posix.sources := $(sort $(wildcard posix/*.c))
posix.flags := -O2 -Iposix
