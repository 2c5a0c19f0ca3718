/* Constants of the CCSDS Reed-Solomon code for shuffles. Written by make_rs.py; do not edit. */
#ifndef FLATSAT_TABLES_RS_SHUFFLE_H
#define FLATSAT_TABLES_RS_SHUFFLE_H

#include <stdint.h>

/* FS_RS_N_w_b: 1 << b times 0 .. 15 in words 0 and 1, times 0, 16, .. 240 in words 2 and 3. */
#define FS_RS_N_0_0 0x0706050403020100ull
#define FS_RS_N_0_1 0x0e0c0a0806040200ull
#define FS_RS_N_0_2 0x1c1814100c080400ull
#define FS_RS_N_0_3 0x3830282018100800ull
#define FS_RS_N_0_4 0x7060504030201000ull
#define FS_RS_N_0_5 0xe0c0a08060402000ull
#define FS_RS_N_0_6 0x4707c787c0804000ull
#define FS_RS_N_0_7 0x8e0e098907878000ull
#define FS_RS_N_1_0 0x0f0e0d0c0b0a0908ull
#define FS_RS_N_1_1 0x1e1c1a1816141210ull
#define FS_RS_N_1_2 0x3c3834302c282420ull
#define FS_RS_N_1_3 0x7870686058504840ull
#define FS_RS_N_1_4 0xf0e0d0c0b0a09080ull
#define FS_RS_N_1_5 0x67472707e7c7a787ull
#define FS_RS_N_1_6 0xce8e4e0e4909c989ull
#define FS_RS_N_1_7 0x1b9b9c1c92121595ull
#define FS_RS_N_2_0 0x7060504030201000ull
#define FS_RS_N_2_1 0xe0c0a08060402000ull
#define FS_RS_N_2_2 0x4707c787c0804000ull
#define FS_RS_N_2_3 0x8e0e098907878000ull
#define FS_RS_N_2_4 0x9b1c12950e898700ull
#define FS_RS_N_2_5 0xb13824ad1c958900ull
#define FS_RS_N_2_6 0xe57048dd38ad9500ull
#define FS_RS_N_2_7 0x4de0903d70ddad00ull
#define FS_RS_N_3_0 0xf0e0d0c0b0a09080ull
#define FS_RS_N_3_1 0x67472707e7c7a787ull
#define FS_RS_N_3_2 0xce8e4e0e4909c989ull
#define FS_RS_N_3_3 0x1b9b9c1c92121595ull
#define FS_RS_N_3_4 0x36b1bf38a3242aadull
#define FS_RS_N_3_5 0x6ce5f970c14854ddull
#define FS_RS_N_3_6 0xd84d75e00590a83dull
#define FS_RS_N_3_7 0x379aea470aa7d77aull

/* The 32 roots to the power n: by n, root. */
const uint64_t fs_rs_roots[128] __attribute__((aligned(32))) = {
    0x0101010101010101ull, 0x0101010101010101ull, 0x0101010101010101ull, 0x0101010101010101ull, 0x74fbdd027c8c6415ull,
    0x8ae0068413ac3f78ull, 0xa70a0b357341889cull, 0x1e1d5f95c31f2319ull, 0xdff071049f2a5896ull, 0x3e32146a82bf478full,
    0xfa444503cadc3aadull, 0xd3d60feca2d290c6ull, 0x1839570817b0850dull, 0xe01378dd8c284bf9ull, 0xe1216e5f1fa73588ull,
    0x68f36ba551a463b2ull, 0x75b5ce10a8d11ae9ull, 0x4616970c7e3dc82full, 0xf1cdcc05e37056beull, 0x25345562eb24fdb3ull,
    0xabb1fe2009b4ba62ull, 0x06787c2cf94ce217ull, 0xa569afe12b95a741ull, 0xa88dc036b692cbaaull, 0xc7534f4092686b51ull,
    0x32828f712ad598f4ull, 0x33941c0fd2fa033aull, 0x08b00dfe5bff4d6cull, 0x6d9d5580f21ccd90ull, 0x84dd2c8e5754eafeull,
    0x929ac4a4222b1f73ull, 0xf0c8d572eed15ddeull, 0xde79f387af21c373ull, 0xc993e8509b43e7c0ull, 0xb4f6f71137cf4e3cull,
    0x84024b4c7785e46dull, 0x6c241c89fa563293ull, 0x138cf957b0ed5bb4ull, 0xc040bd6ba4e15f35ull, 0x4e3a168ff8d5cec7ull,
    0xaa69e19541782c4cull, 0x148f9fc5f48d3692ull, 0xfe09ba33d0ecfadcull, 0xaf2ba7067cf9e2abull, 0xb3a24ead977181aeull,
    0xac284c54ed5c0733ull, 0xf45a8bbdc4af6e0bull, 0x5261d2703e930475ull, 0xb25f88ddf9080d5bull, 0x167e2fced131bda5ull,
    0x17edd75524f10556ull, 0x406851e11fe08c18ull, 0xc63c823dc5f55d12ull, 0x3f4be2ea5b0752f1ull, 0x2fae5a409a69210aull,
    0x1b9d3bd0cc03c9dfull, 0x19ac4b7ab1d7f6fdull, 0x6a71c52e4f4a76e1ull, 0xf9b9b7ff91d0d2caull, 0xb5e731cb66210b74ull,
    0x018f2ff4c092a5e1ull, 0x78f917feb433f1faull, 0x8f2ff4c092a5e1a7ull, 0xf917feb433f1fa01ull, 0x748eb06fba94a2caull,
    0xe6f8725ab8d827a7ull, 0x78a1a08607f28942ull, 0x6a04988dda6b2219ull, 0xdf75c7deaab21974ull, 0x7418ab6d6cb3c601ull,
    0x01df75c7deaab219ull, 0x197418ab6d6cb3c6ull, 0x1885d73bf14e16f8ull, 0x822af44f68631f78ull, 0xa7dd390dff330f03ull,
    0x8956932ff531f3b2ull, 0x75bcb8762be083a0ull, 0xfb39b19d24a23c8full, 0xfac904ce5dcb6323ull, 0xd8c2882cb9869eb3ull,
    0xab0933ecdc8fc58dull, 0x972fa8b6a52b06f9ull, 0xe1412c172062f170ull, 0xbad0fa149ff436aaull, 0xc7b8515f7839ed4dull,
    0xdd57fe551c4e822full, 0xf10393d5d192a41full, 0x53bd63a78c08866cull, 0x6deb89bee8ce7bbbull, 0xbfd58d4a630a1517ull,
    0xa51e3f39b7ba1c45ull, 0x5e4924cf46f810deull, 0xde765ffbe28691cdull, 0x0208208089ad3df4ull, 0x33cc3ef8eeb651c3ull,
    0xc82eb869238cb96dull, 0x6c0f3a71f440511full, 0x939bc0f3211339feull, 0x9263354b85b4114eull, 0xdd085b33d2322ac7ull,
    0xaa2b78e22033cf14ull, 0x7c1709f2fa97c5c0ull, 0xb4d0708f7236a595ull, 0xdce8f4b669a72cabull, 0xb3427e43b6a40b83ull,
    0x479836761f155eb4ull, 0xc0bb1eddb9099444ull, 0xc2ac5720f705e675ull, 0xb2e039863305829bull, 0x8cb0b41c5671f592ull,
    0xfe3bd216d5c06b5full, 0x11037ef4b8638818ull, 0xc6bf988b6935a1e4ull, 0x0cceb6c18899db33ull, 0xf4297de0fc2024e3ull,
    0x792713e25c9445dfull, 0x1983ed91cf82b58bull, 0x6485bacd32815da5ull, 0x179d613ac88df31dull, 0x5cfd03e82ebdc274ull,
    0x012fc0a5a7f9fe33ull, 0x8ff492e17817b4f1ull, 0x2fc0a5a7f9fe33faull, 0xf492e17817b4f101ull, 0x74a04dcd149b8bc1ull,
    0x150d629093ae12e1ull, 0xf91b524ef0a8681eull, 0xfc5c11dcc853d819ull,
};

/* beta^((p + 1) d), d = 1 .. 16: by d, position p. */
const uint64_t fs_rs_powers[512] __attribute__((aligned(32))) = {
    0x42ca56dc3c3abeadull, 0xd9fae3444e457003ull, 0x89a2ccd2cf9005c6ull, 0x61d3f1d6370fcdecull, 0xf294fd5911d0b31cull,
    0x3b80eb33f75224a3ull, 0x07ba559ef66c6291ull, 0x49ff259db4a6344dull, 0x866f205b6d5cd709ull, 0xb160edb7e4fe1bdbull,
    0xa0b05eab852dea0dull, 0x57e27a0877b91754ull, 0xa18e18994c39fc67ull, 0x15282cd44b83a9f9ull, 0x7874fbdd027c8c64ull,
    0x9c8ae0068413ac3full, 0x19a70a0b35734188ull, 0x6e1e1d5f95c31f23ull, 0x2227e138c221652bull, 0x69a448c163af7db2ull,
    0x6bd8c4a576875166ull, 0xefcb689a0ef3aabbull, 0xdab8291292794abdull, 0x4f7b36318bde40b6ull, 0x8d5a531ae5c05de9ull,
    0xeef52ea8c7e7bcd1ull, 0x98727fceae43f410ull, 0x9681d575c59b30b5ull, 0x04f89fc82a50582full, 0x8f26df7ef0e8713dull,
    0x6ae68297bf93470cull, 0xad013e4632c91416ull, 0xd9e34e7042563cbeull, 0x61f137cd89cccf05ull, 0x3bebf724f2fd11b3ull,
    0x4925b4340755f662ull, 0xb1ede41b86206dd7ull, 0x577a7717a05e85eaull, 0x152c4ba9a1184cfcull, 0x9ce084ac78fb028cull,
    0x6e1d951f190a3541ull, 0x6948637d22e1c265ull, 0xef680eaa6bc47651ull, 0x4f368b40da29924aull, 0xee2ec7bc8d53e55dull,
    0x96d5c530987faef4ull, 0x8fdff071049f2a58ull, 0xad3e32146a82bf47ull, 0xc6fa444503cadc3aull, 0x1cd3d60feca2d290ull,
    0x91803352a39459d0ull, 0x09ff9da64dba9e6cull, 0x0d60b7fedb6f5b5cull, 0x67e208b954b0ab2dull, 0x6428d483f98e9939ull,
    0x888a06133f74dd7cull, 0x2b1e5fc323a70b73ull, 0x66a4c1afb2273821ull, 0xbdcb9af3bbd8a587ull, 0xe97b31deb6b81279ull,
    0x10f5a8e7d15a1ac0ull, 0x2f81759bb572ce43ull, 0x0c267ee83df8c850ull, 0xbe0146c916e69793ull, 0x89d205fa4e03563aull,
    0x3b332494111cf10full, 0x865bd7ffb44d556cull, 0x570817b0850dedfeull, 0x78dd8c284bf91839ull, 0x6e5f1fa73588e013ull,
    0x6ba551a463b2e121ull, 0x4f3140b892bd68f3ull, 0x98cef4f5c7d153c0ull, 0x8f7e71f82a2fd59bull, 0x03563a0132168293ull,
    0x1cf10f89d205fa4eull, 0x4d556c3b33249411ull, 0x0dedfe865bd7ffb4ull, 0xf91839570817b085ull, 0x88e01378dd8c284bull,
    0xb2e1216e5f1fa735ull, 0xbd68f36ba551a463ull, 0xd153c04f3140b892ull, 0x2fd59b98cef4f5c7ull, 0x1682938f7e71f82aull,
    0x05fa4e03563a0132ull, 0x2494111cf10f89d2ull, 0xd7ffb44d556c3b33ull, 0x17b0850dedfe865bull, 0x8c284bf918395708ull,
    0x1fa73588e01378ddull, 0x51a463b2e1216e5full, 0x40b892bd68f36ba5ull, 0xf4f5c7d153c04f31ull, 0x71f82a2fd59b98ceull,
    0x3a01321682938f7eull, 0x613789cfd94e423cull, 0x49b407f63bf7f211ull, 0x5777a085b1e4866dull, 0x9c847802154ba14cull,
    0x696322c26e951935ull, 0x4f8bda92ef0e6b76ull, 0x96c598aeeec78de5ull, 0xad326abf8ff0042aull, 0x1cd6ecd2c64403dcull,
    0x099d4d9e9133a359ull, 0x670854ab0db7db5bull, 0x88063fdd64d4f999ull, 0x66c1b2382b5f230bull, 0xe931b612bd9abba5ull,
    0x2f75b5ce10a8d11aull, 0xbe4616970c7e3dc8ull, 0xb3f1cdcc05e37056ull, 0xd725345562eb24fdull, 0xfc7a175eeaed1b20ull,
    0x41e0acfb8c2ca918ull, 0x51487de1651d1f0aull, 0x5d3640294a68aac4ull, 0x58d5307ff42ebc53ull, 0x3a3e148247df719full,
    0xd0d30fa290fa45caull, 0x5cffa6ba6c805294ull, 0x39e2b9b02d60fe6full, 0x738a13747c28838eull, 0x87a4af27211ec3a7ull,
    0xc07bdeb879cbf3d8ull, 0x50819b7243f5e75aull, 0x3c01c9e69326e8f8ull, 0xf2d0f1eccffa70dcull, 0xb1fe2009b4ba6233ull,
    0x787c2cf94ce217abull, 0x69afe12b95a74106ull, 0x8dc036b692cbaaa5ull, 0x8fe89f2fc572f4a8ull, 0xeccffa70dc011497ull,
    0x09b4ba6233f2d0f1ull, 0xf94ce217abb1fe20ull, 0x2b95a74106787c2cull, 0xb692cbaaa569afe1ull, 0x2fc572f4a88dc036ull,
    0x70dc0114978fe89full, 0x6233f2d0f1eccffaull, 0x17abb1fe2009b4baull, 0x4106787c2cf94ce2ull, 0xaaa569afe12b95a7ull,
    0xf4a88dc036b692cbull, 0x14978fe89f2fc572ull, 0xd0f1eccffa70dc01ull, 0xfe2009b4ba6233f2ull, 0x7c2cf94ce217abb1ull,
    0xafe12b95a7410678ull, 0xc036b692cbaaa569ull, 0xe89f2fc572f4a88dull, 0xcffa70dc0114978full, 0xb4ba6233f2d0f1ecull,
    0x4ce217abb1fe2009ull, 0x95a74106787c2cf9ull, 0x92cbaaa569afe12bull, 0xc572f4a88dc036b6ull, 0xdc0114978fe89f2full,
    0x3b2411f189054e56ull, 0x571785ed86d7b455ull, 0x6e1f35e0788c4b18ull, 0x4f4092686b5163e1ull, 0x8f712ad598f4c753ull,
    0x1c0fd2fa033a3282ull, 0x0dfe5bff4d6c3394ull, 0x8813dd28f93908b0ull, 0xbdf3a5a4b2215fa7ull, 0x2f9bcef5d1c031b8ull,
    0x054e560116937ef8ull, 0xd7b4553b2411f189ull, 0x8c4b18571785ed86ull, 0x5163e16e1f35e078ull, 0xf4c7534f4092686bull,
    0x3a32828f712ad598ull, 0x6c33941c0fd2fa03ull, 0x3908b00dfe5bff4dull, 0x215fa78813dd28f9ull, 0xc031b8bdf3a5a4b2ull,
    0x937ef82f9bcef5d1ull, 0x11f189054e560116ull, 0x85ed86d7b4553b24ull, 0x35e0788c4b185717ull, 0x92686b5163e16e1full,
    0x2ad598f4c7534f40ull, 0xd2fa033a32828f71ull, 0x5bff4d6c33941c0full, 0xdd28f93908b00dfeull, 0xa5a4b2215fa78813ull,
    0xcef5d1c031b8bdf3ull, 0x560116937ef82f9bull, 0x079124d037d2e3caull, 0x15f9fcb985b720ffull, 0x6b667d21950be074ull,
    0x96b5f4e7e53129cbull, 0xec05453c3297dff8ull, 0x0d1b5cb49eeb9461ull, 0x23411302d418e2a0ull, 0xe940790ea548276eull,
    0x1647e82a757ff58dull, 0x625211d6ccfa42adull, 0xa93977abed6f494dull, 0x51afc25f0a8a7864ull, 0x3043c71a36b8efbbull,
    0x904edc468226042full, 0xfe6d9d5580f21ccdull, 0x7384dd2c8e5754eaull, 0xde929ac4a4222b1full, 0x93f0c8d572eed15dull,
    0xf759f1a2d903be14ull, 0x4c085e608609346cull, 0x63381da79c3f8c83ull, 0xaea8537bdabdaa87ull, 0x44563ee68f3d589bull,
    0x5b25ba3ba3b30fcfull, 0x06fb28a167172de4ull, 0x1268d869b265c335ull, 0x7e9f819810bcc08bull, 0xfdd389c6703ac9bfull,
    0x7ab0b1dbd7a6f633ull, 0xe11e1988ac7c4b99ull, 0x2e5a4fb64af376c1ull, 0xca016a0c7150c5ceull, 0x49073bf26189d942ull,
    0x9c7815a157a0b186ull, 0x4fdaef6b69226e19ull, 0xad6a8f049698ee8dull, 0x094d91a31cecc603ull, 0x883f64f967540ddbull,
    0xe9b6bdbb66b22b23ull, 0xbe160c3d2fb510d1ull, 0xd7346224b3cd0570ull, 0x41ac8ca9fc17ea1bull, 0x5d404aaa517d651full,
    0x3a1447715830f4bcull, 0x5ca66c52d00f9045ull, 0x73137c8339b92dfeull, 0xc0de79f387af21c3ull, 0x3cc993e8509b43e7ull,
    0x6db4f6f71137cf4eull, 0x3584024b4c7785e4ull, 0xe58b920e7663c295ull, 0xdc32bff02ac5aec7ull, 0x5b9d9e3359d6d244ull,
    0x0b06ddd49908abb7ull, 0x1a31129aa5c1385full, 0x5646977ec875cea8ull, 0x202555ebfdf1cce3ull, 0x0ae0fb2c187a5eedull,
    0x53362968c448e11dull, 0xca3e82df9fd57f2eull, 0x6fffba8094d3a2faull, 0xa78a74288ee2b060ull, 0x5a7bb8cbd8a4271eull,
    0x4201e626f88172f5ull, 0x86ff5533110f0503ull, 0x6ea7e0dd4b39170dull, 0x98f5533192f351b2ull, 0x1c89fa563293712full,
    0xf957b0ed5bb46c24ull, 0xbd6ba4e15f35138cull, 0x168ff8d5cec7c040ull, 0xd74d3b94f1d24e3aull, 0x1f887828180885feull,
    0xf4d14fb868a56321ull, 0x0f050301827e2a9bull, 0x39170d86ff553311ull, 0xf351b26ea7e0dd4bull, 0x93712f98f5533192ull,
    0xb46c241c89fa5632ull, 0x35138cf957b0ed5bull, 0xc7c040bd6ba4e15full, 0xd24e3a168ff8d5ceull, 0x0885fed74d3b94f1ull,
    0xa563211f88782818ull, 0x7e2a9bf4d14fb868ull, 0x5533110f05030182ull, 0xe0dd4b39170d86ffull, 0x533192f351b26ea7ull,
    0xfa563293712f98f5ull, 0xb0ed5bb46c241c89ull, 0xa4e15f35138cf957ull, 0xf8d5cec7c040bd6bull, 0x3b94f1d24e3a168full,
    0x7828180885fed74dull, 0x4fb868a563211f88ull, 0x0301827e2a9bf4d1ull, 0xb120b462f2f1cf70ull, 0x69e19541782c4c17ull,
    0x8f9fc5f48d3692aaull, 0x09ba33d0ecfadc14ull, 0x2ba7067cf9e2abfeull, 0x2f72a8c0b6cba5afull, 0x62f2f1cf700197e8ull,
    0x41782c4c17b120b4ull, 0xf48d3692aa69e195ull, 0xd0ecfadc148f9fc5ull, 0x7cf9e2abfe09ba33ull, 0xc0b6cba5af2ba706ull,
    0xcf700197e82f72a8ull, 0x4c17b120b462f2f1ull, 0x92aa69e19541782cull, 0xdc148f9fc5f48d36ull, 0xabfe09ba33d0ecfaull,
    0xa5af2ba7067cf9e2ull, 0x97e82f72a8c0b6cbull, 0x20b462f2f1cf7001ull, 0xe19541782c4c17b1ull, 0x9fc5f48d3692aa69ull,
    0xba33d0ecfadc148full, 0xa7067cf9e2abfe09ull, 0x72a8c0b6cba5af2bull, 0xf2f1cf700197e82full, 0x782c4c17b120b462ull,
    0x8d3692aa69e19541ull, 0xecfadc148f9fc5f4ull, 0xf9e2abfe09ba33d0ull, 0xb6cba5af2ba7067cull, 0x700197e82f72a8c0ull,
    0xa0b7d7baf71ccc45ull, 0xefa57d1e353f2c39ull, 0x034647f8c51053deull, 0x675efe499e24d3cfull, 0xb66887225f41744bull,
    0x05cac98fc830f5e5ull, 0xa9e285db256cf2d6ull, 0x5db80e66e1c39cddull, 0x0fd9dc16df5098a8ull, 0x7ca108ea6fb491fdull,
    0xe74f12aaa4c223e0ull, 0x11ece33ae6f02f7full, 0x846418b9b15b3480ull, 0xaed136796bc165a7ull, 0x33b3a24ead977181ull,
    0x0bac284c54ed5c07ull, 0x75f45a8bbdc4af6eull, 0x555261d2703e9304ull, 0x1d7378d4fcb0e409ull, 0x9f9bee1a40cb76b2ull,
    0xfff6a3f19042320cull, 0x279588fb8357ab1bull, 0x262ab52ec0da9a51ull, 0x869d629437c65614ull, 0x69381f8a02f97a2dull,
    0x6a7e5872c7e929f3ull, 0x0d20a63b59cdfa3cull, 0xbb482119068c8e77ull, 0xbe82e896cebc7b92ull, 0x17606d4debd08944ull,
    0x4ad8632b0a131599ull, 0x4501bf3dd5438d31ull, 0x578586b43b11894eull, 0x4f926b636e35784bull, 0x1cd203328f2a98c7ull,
    0x88ddf9080d5b4d33ull, 0x2fced131bda5b25full, 0xd75524f10556167eull, 0x51e11fe08c1817edull, 0x3a8271d5f4534068ull,
    0x39b0feff6c940ffaull, 0xc0b8f3a421a71328ull, 0x11894e0193f89bf5ull, 0x35784b578586b43bull, 0x2a98c74f926b636eull,
    0x5b4d331cd203328full, 0xa5b25f88ddf9080dull, 0x56167e2fced131bdull, 0x1817edd75524f105ull, 0x53406851e11fe08cull,
    0x940ffa3a8271d5f4ull, 0xa7132839b0feff6cull, 0xf89bf5c0b8f3a421ull, 0x86b43b11894e0193ull, 0x6b636e35784b5785ull,
    0x03328f2a98c74f92ull, 0xf9080d5b4d331cd2ull, 0xd131bda5b25f88ddull, 0x24f10556167e2fceull, 0x1fe08c1817edd755ull,
    0x71d5f453406851e1ull, 0xfeff6c940ffa3a82ull, 0xf3a421a7132839b0ull, 0x4e0193f89bf5c0b8ull, 0xa1b9ed09f694cd44ull,
    0xeec029bb631e41ddull, 0x4df7d305dce67175ull, 0x66c2a7acd4572d20ull, 0x70322658ce8dde68ull, 0x8c99a0fe259111a2ull,
    0x30a84f79c4b2958aull, 0x5c55a337fabebff8ull, 0xf3482b3574a908b1ull, 0xcfca16f081f41adaull, 0x8428fcab86a6eb1cull,
    0x2a72bc31ef87e123ull, 0xb7496cfdec4e3e0cull, 0x126baf1d88028e17ull, 0xf1c63c823dc5f55dull, 0x0a3f4be2ea5b0752ull,
    0xdf2fae5a409a6921ull, 0xb01b9d3bd0cc03c9ull, 0x7b4aa522c3e0644cull, 0xf20fe3ad939fb5c7ull, 0x6e73fbf97760d79eull,
    0x6ae8d510e5b8aac1ull, 0x67856f3433619056ull, 0xd18bcb513819132cull, 0x62598945468f507full, 0x7d5f9c7c1854e4ffull,
    0x3a97049b2ee992d8ull, 0x837a0d6dba24d6d9ull, 0x4353b60ea4650b78ull, 0xb480b3d242147e96ull, 0x76271f0615395edbull,
    0x440147c898e736bdull, 0x15fc8520072437e3ull, 0x96f4e5296b7d95e0ull, 0x0d5c9e94ec4532dfull, 0xe979a5272313d4e2ull,
    0x6211cc4216e875f5ull, 0x51c20a78a977ed49ull, 0x90dc820430c736efull, 0x73dd8e54fe9d801cull, 0x93c872d1de9aa42bull,
    0x4c5e8634f7f1d9beull, 0xae53daaa631d9c8cull, 0x5bbaa30f443e8f58ull, 0x12d8b2c30628672dull, 0xfd8970c97e8110c0ull,
    0xe119ac4b7ab1d7f6ull, 0xca6a71c52e4f4a76ull, 0x74f9b9b7ff91d0d2ull, 0xf8b5e731cb66210bull, 0xa01bb4eb61053c97ull,
    0x8d400e486e410218ull, 0x4d52d6faad472a7full, 0xbbaf5f8a6439ab6full, 0xcd4e46262f431ab8ull, 0x1f842c57ea6d55f2ull,
    0x14f0d5ee5d92c422ull, 0x830860096c59a203ull, 0x9ba87bbd8738a73full, 0xe4253bb3cf56e63dull, 0x8b68696535fba117ull,
    0x33d3c63abf9f98bcull, 0xc11e887c99b0dba6ull, 0xe3010c50ce5ab6f3ull, 0x78f917feb433f1faull, 0x8f2ff4c092a5e1a7ull,
    0xf917feb433f1fa01ull, 0x2ff4c092a5e1a778ull, 0x17feb433f1fa018full, 0xf4c092a5e1a778f9ull, 0xfeb433f1fa018f2full,
    0xc092a5e1a778f917ull, 0xb433f1fa018f2ff4ull, 0x92a5e1a778f917feull, 0x33f1fa018f2ff4c0ull, 0xa5e1a778f917feb4ull,
    0xf1fa018f2ff4c092ull, 0xe1a778f917feb433ull, 0xfa018f2ff4c092a5ull, 0xa778f917feb433f1ull, 0x018f2ff4c092a5e1ull,
    0x78f917feb433f1faull, 0x8f2ff4c092a5e1a7ull, 0xf917feb433f1fa01ull, 0x2ff4c092a5e1a778ull, 0x17feb433f1fa018full,
    0xf4c092a5e1a778f9ull, 0xfeb433f1fa018f2full, 0xc092a5e1a778f917ull, 0xb433f1fa018f2ff4ull, 0x92a5e1a778f917feull,
    0x33f1fa018f2ff4c0ull, 0xa5e1a778f917feb4ull, 0xf1fa018f2ff4c092ull, 0xe1a778f917feb433ull, 0xfa018f2ff4c092a5ull,
    0x9c1557b1493b61d9ull, 0xad8f96ee4fef696eull, 0x8864670d09911cc6ull, 0xbe0c2f10e9bd662bull, 0x418cfcead762b305ull,
    0x3a4758f45d4a5165ull, 0x737c392d5c6cd090ull, 0x3c935043c0798721ull, 0x35024c856df611cfull, 0xdcbf2aaee59276c2ull,
    0x0bdd99ab5b9e59d2ull, 0x5697c8ce1a12a538ull, 0x0afb185e2055fdccull, 0xca829f7f5329c4e1ull, 0xa7748eb06fba94a2ull,
    0x42e6f8725ab8d827ull, 0x1978a1a08607f289ull, 0x036a04988dda6b22ull, 0x233ff954db4da3ecull, 0x70163db5d1b6bbb2ull,
    0x1faca9171b3424cdull, 0x45147130bc40aa7dull, 0xc31383b9fea6520full, 0x4ec9e89be7def3afull, 0x95844b77e4b4f737ull,
    0x4432f0c5c78b0e63ull, 0x5f06d408b79d33d6ull, 0xe3467e75a8319ac1ull, 0x1de02c7aed25ebf1ull, 0xfa3edfd52e366848ull,
    0x1e8a28e260ff80d3ull, 0xd9012681f57bcba4ull,
};

#endif
