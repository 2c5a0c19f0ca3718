/* Written by make_crc.py. */
static const fs_crc_fold FS_FOLD_CRC16 = {
    .by256 = {0xF0E60000, 0xF44B0000},
    .by512 = {0x59B00000, 0x60190000},
    .by1024 = {0xB5B70000, 0x18D30000},
    .by2048 = {0x16270000, 0xCACD0000},
    .weight = {0x43470000, 0xFA0D0000, 0x9E3A0000, 0xF4E70000,
               0x9C1A0000, 0x15B70000, 0x78B30000, 0x84200000,
               0xBD640000, 0x9FE50000, 0x8DDC0000, 0xB8E00000,
               0x10E20000, 0x45B40000, 0x10210000, 0xEB230000},
    .x64 = 0xAA510000,
    .mu = {0x111303471, 0x110210000},
};
static const fs_crc_fold FS_FOLD_CRC32_USLP = {
    .by256 = {0xC1E0061F, 0xD4000680},
    .by512 = {0xC7000738, 0x64E00127},
    .by1024 = {0xA381051C, 0x32220191},
    .by2048 = {0x35E009AF, 0x4F201279},
    .weight = {0xE5000738, 0x68800364, 0x2C800160, 0x9B4004D2,
               0x06200030, 0xCCA00667, 0x99E804CF, 0x86300431,
               0x3A8201D4, 0xCFE4067F, 0x560082B0, 0xFB2107D9,
               0xCC402662, 0x1C2040E1, 0x00A00805, 0x30201181},
    .x64 = 0x92200493,
    .mu = {0x100A04C2F, 0x100A00805},
};
static const fs_crc_fold FS_FOLD_CRC32C = {
    .by256 = {0x59A3508A, 0x7BBA6798},
    .by512 = {0xAA97D41D, 0xA6955F31},
    .by1024 = {0xE78DBF1D, 0x5A47B20D},
    .by2048 = {0x4EF6A711, 0xFA374B2E},
    .weight = {0x187136A8, 0x920DB960, 0xD3399D07, 0xCF5FD885,
               0x6EECB820, 0x8A3B3E81, 0x81EEE05C, 0xD29B9738,
               0x41712870, 0x3F76A4F2, 0xB8CAA439, 0xB78C6837,
               0xFF60609E, 0xE287E4BA, 0x1EDC6F41, 0xD7A01665},
    .x64 = 0x3AAB4576,
    .mu = {0x11F91CAF6, 0x11EDC6F41},
};
static const uint64_t FS_CRC16_HIGH_WEIGHT[8] = {
    0x12760000, 0x97560000, 0x9C250000, 0xC6D30000,
    0xF0310000, 0xAC610000, 0x33310000, 0x6F450000,
};
static const fs_crc_move FS_CRC16_MOVE_512 = {
    .low_to_low = 0x90204183079F3F7F,
    .low_to_high = 0xFFFFFEFC69D2A448,
    .high_to_low = 0x962D5AB469448912,
    .high_to_high = 0x24499327D9B265CB,
};
static const fs_crc_move FS_CRC16_MOVE_1024 = {
    .low_to_low = 0x58B061C28450A143,
    .low_to_high = 0x860D1B36356BD6AC,
    .high_to_low = 0xB366CD9A35D8B061,
    .high_to_high = 0xC2850A149B366CD9,
};
static const fs_crc_move FS_CRC16_MOVE_2048 = {
    .low_to_low = 0x9E3C78F0E15CB972,
    .low_to_high = 0xE5CA952BC993274F,
    .high_to_low = 0x2C59B264C9BF7EFD,
    .high_to_high = 0xFAF5EBD782050B16,
};
static const uint64_t FS_CRC32C_128[2] = {0xB9E02B86, 0x0D3B6092};
static const uint64_t FS_CRC32C_1024[2] = {0xA51B6135, 0x170076FA};
