-- Wireshark dissector for captures of FlatSat: wire records (docs/wire-record.md), what buses
-- carry in them, TM and TC transfer frames (CCSDS 132.0-B, 232.0-B), CLTUs (231.0-B), space packets
-- (133.0-B) and PUS-C headers (ECSS-E-ST-70-41C). Wireshark 4.0 and later, Lua 5.2 to 5.4.
--
-- Link types: USER0 a wire record, USER1 a TM frame, USER2 a CLTU, USER3 a space packet. Behind a
-- CAN frame the header of its record is found by itself. `hil tap --install-wireshark` puts this
-- file where Wireshark looks for it; `tshark -X lua_script:flatsat.lua` takes it from anywhere.

set_plugin_info({ version = "1.0", description = "Captures of FlatSat" })

local bitlib = bit32 or bit
local xor = bitlib and bitlib.bxor or load("return function(a, b) return a ~ b end")()
local floor = math.floor

local KIND = {
    [0x01] = "HELLO", [0x02] = "WELCOME", [0x03] = "NEXT", [0x04] = "GRANT", [0x05] = "END",
    [0x06] = "END_ACK", [0x07] = "REFUSE", [0x08] = "OPEN", [0x09] = "ATTRIBUTE", [0x0A] = "LINES",
    [0x10] = "I2C", [0x11] = "SPI", [0x12] = "UART", [0x13] = "CAN", [0x14] = "GPIO",
    [0x15] = "FRAME", [0x16] = "LOAD", [0x17] = "ONEWIRE",
    [0x20] = "TM", [0x21] = "TC", [0x22] = "LINK", [0x30] = "EVENT", [0x31] = "WORLD",
    [0x32] = "FAULT",
}
local STATUS = {
    [0] = "OK", "NAK_ADDRESS", "NAK_DATA", "ARBITRATION_LOST", "TIMEOUT", "STUCK", "UNSUPPORTED",
    "INVALID", "BUS_OFF", "OVERRUN", "FRAMING", "DAMAGED", "ABSENT", "BUSY", "PROTOCOL",
}
local CAN, WORLD, FIRST_NUMBERED, HEADER = 0x13, 0x31, 0x10, 32
local REPLY, FAULTED = 0x01, 0x04

local record = Proto("flatsat", "FlatSat record")
local tm = Proto("flatsat_tm", "TM transfer frame")
local tc = Proto("flatsat_tc", "Telecommand unit")
local sp = Proto("flatsat_sp", "Space packet")
local trailer = Proto("flatsat_trailer", "FlatSat record behind a frame")

record.prefs.gaps = Pref.bool("Follow the numbers of records", true,
    "Remark where numbers of records are missing (not in a selection of channels)")
tm.prefs.randomised = Pref.enum("Randomised", 0, "Frames on the air are randomised (131.0-B)",
    { { 1, "as the FECF says", 0 }, { 2, "yes", 1 }, { 3, "no", 2 } }, true)
tm.prefs.fecf = Pref.bool("FECF", true, "Frames end in a frame error control field")
tm.prefs.check = Pref.uint("Check symbols", 0, "Octets of Reed-Solomon check symbols behind a frame")
tc.prefs.segments = Pref.enum("Segment header", 0, "Frames of the sequence have a segment header",
    { { 1, "as the packet behind it says", 0 }, { 2, "yes", 1 }, { 3, "no", 2 } }, true)

-- Fields: F(key, type, words, base, values, mask) ------------------------------------------------

local f = {}
local fields = { [record] = {}, [tm] = {}, [tc] = {}, [sp] = {} }

local function F(proto, key, make, words, ...)
    f[key] = ProtoField[make]("flatsat." .. key, words, ...)
    table.insert(fields[proto], f[key])
end

F(record, "kind", "uint8", "Kind", base.HEX, KIND)
F(record, "channel", "uint8", "Channel")
F(record, "flags", "uint8", "Flags", base.HEX)
for i, word in ipairs({ "reply", "input", "faulted", "wake", "can_brs", "can_esi", "can_fd", "board" }) do
    F(record, "flags." .. word, "bool", word:upper(), 8, nil, 2 ^ (i - 1))
end
F(record, "status", "uint8", "Status", base.DEC, STATUS)
F(record, "length", "uint32", "Length")
F(record, "t_ns", "uint64", "Time in ns since the epoch of the mission")
F(record, "t_s", "double", "Time in s since the epoch of the mission")
F(record, "duration_ns", "uint64", "Duration in ns")
F(record, "seq", "uint32", "Sequence number")
F(record, "address", "uint32", "Address", base.HEX)
F(record, "payload", "bytes", "Payload")
F(record, "i2c.address", "uint16", "I2C address", base.HEX)
F(record, "i2c.flags", "uint16", "Flags", base.HEX)
F(record, "i2c.read", "bool", "Read", 16, nil, 1)
F(record, "i2c.ten_bit", "bool", "Ten-bit address", 16, nil, 2)
F(record, "i2c.length_first", "bool", "First octet read says how many follow", 16, nil, 4)
F(record, "i2c.length", "uint16", "Length")
F(record, "i2c.data", "bytes", "Data")
F(record, "spi.length", "uint32", "Length")
F(record, "spi.speed_hz", "uint32", "Speed in Hz (0: of the device)")
F(record, "spi.bits", "uint8", "Bits of a word")
F(record, "spi.flags", "uint8", "Flags", base.HEX)
F(record, "spi.cs_change", "bool", "Release chip select", 8, nil, 1)
F(record, "spi.delay_us", "uint16", "Delay in us")
F(record, "spi.tx", "bytes", "Sent")
F(record, "spi.rx", "bytes", "Received")
F(record, "onewire.op", "uint8", "Step", base.DEC, { [0] = "reset", "write", "read", "triplet" })
F(record, "onewire.length", "uint16", "Length")
F(record, "onewire.data", "bytes", "Data")
F(record, "uart.data", "bytes", "Octets")
F(record, "gpio.line", "uint32", "Line")
F(record, "gpio.level", "uint8", "Level")
F(record, "frame.exposure_us", "uint32", "Exposure in us")
F(record, "frame.width", "uint16", "Width")
F(record, "frame.height", "uint16", "Height")
F(record, "frame.channels", "uint8", "Channels")
F(record, "frame.bits", "uint8", "Bits")
F(record, "frame.pixels", "bytes", "Pixels")
F(record, "load.duration_ns", "uint64", "Duration in ns")
F(record, "load.energy_uj", "uint64", "Energy in uJ")
F(record, "load.units", "uint32", "Units")
F(record, "load.class", "string", "Class of model")

F(tm, "tm.asm", "uint32", "Sync marker", base.HEX)
F(tm, "tm.version", "uint16", "Version", base.DEC, nil, 0xC000)
F(tm, "tm.scid", "uint16", "Spacecraft", base.HEX, nil, 0x3FF0)
F(tm, "tm.vcid", "uint16", "Virtual channel", base.DEC, nil, 0x000E)
F(tm, "tm.ocf", "bool", "Operational control field", 16, nil, 1)
F(tm, "tm.mc_count", "uint8", "Master channel count")
F(tm, "tm.vc_count", "uint8", "Virtual channel count")
F(tm, "tm.secondary", "bool", "Secondary header", 16, nil, 0x8000)
F(tm, "tm.sync", "bool", "Octets of a stream, no packets", 16, nil, 0x4000)
F(tm, "tm.fhp", "uint16", "First header pointer", base.HEX,
    { [0x7FE] = "idle data only", [0x7FF] = "no packet begins" }, 0x07FF)
F(tm, "tm.secondary_header", "bytes", "Secondary header")
F(tm, "tm.data", "bytes", "Data field")
F(tm, "tm.fecf", "uint16", "Frame error control field", base.HEX)
F(tm, "tm.fecf_good", "bool", "Frame error control field matches")
F(tm, "tm.randomised", "bool", "Randomised")
F(tm, "clcw", "uint32", "CLCW", base.HEX)
F(tm, "clcw.cop", "uint32", "COP in effect", base.DEC, nil, 0x03000000)
F(tm, "clcw.vcid", "uint32", "Virtual channel", base.DEC, nil, 0x00FC0000)
for i, word in ipairs({ "no_rf", "no_bit_lock", "lockout", "wait", "retransmit" }) do
    F(tm, "clcw." .. word, "bool", (word:gsub("_", " ")), 32, nil, 2 ^ (16 - i))
end
F(tm, "clcw.farm_b", "uint32", "FARM-B counter", base.DEC, nil, 0x00000600)
F(tm, "clcw.report", "uint32", "Report value", base.DEC, nil, 0x000000FF)

F(tc, "cltu.start", "uint16", "Start sequence", base.HEX)
F(tc, "cltu.blocks", "uint32", "Code blocks")
F(tc, "cltu.tail", "bytes", "Tail sequence")
F(tc, "tc.version", "uint16", "Version", base.DEC, nil, 0xC000)
F(tc, "tc.bypass", "bool", "Bypass", 16, nil, 0x2000)
F(tc, "tc.control", "bool", "Control command", 16, nil, 0x1000)
F(tc, "tc.scid", "uint16", "Spacecraft", base.HEX, nil, 0x03FF)
F(tc, "tc.vcid", "uint16", "Virtual channel", base.DEC, nil, 0xFC00)
F(tc, "tc.length", "uint16", "Frame length less one", base.DEC, nil, 0x03FF)
F(tc, "tc.seq", "uint8", "Frame sequence number")
F(tc, "tc.segment", "uint8", "Segment header", base.HEX)
F(tc, "tc.map", "uint8", "MAP", base.DEC, nil, 0x3F)
F(tc, "tc.data", "bytes", "Data field")
F(tc, "tc.fecf", "uint16", "Frame error control field", base.HEX)
F(tc, "tc.fecf_good", "bool", "Frame error control field matches")
F(tc, "tc.randomised", "bool", "Randomised")

F(sp, "sp.version", "uint16", "Version", base.DEC, nil, 0xE000)
F(sp, "sp.type", "uint16", "Type", base.DEC, { [0] = "telemetry", "telecommand" }, 0x1000)
F(sp, "sp.secondary", "bool", "Secondary header", 16, nil, 0x0800)
F(sp, "sp.apid", "uint16", "APID", base.DEC_HEX, nil, 0x07FF)
F(sp, "sp.flags", "uint16", "Sequence flags", base.DEC,
    { [0] = "continued", "first", "last", "whole" }, 0xC000)
F(sp, "sp.count", "uint16", "Sequence count", base.DEC, nil, 0x3FFF)
F(sp, "sp.length", "uint16", "Data length less one")
F(sp, "sp.data", "bytes", "Data")
F(sp, "sp.crc", "uint16", "Packet error control", base.HEX)
F(sp, "sp.crc_good", "bool", "Packet error control matches")
F(sp, "pus.version", "uint8", "PUS version", base.DEC, nil, 0xF0)
F(sp, "pus.acks", "uint8", "Reports asked for", base.HEX, nil, 0x0F)
F(sp, "pus.time_status", "uint8", "Time reference status", base.DEC, nil, 0x0F)
F(sp, "pus.service", "uint8", "Service")
F(sp, "pus.subtype", "uint8", "Subtype")
F(sp, "pus.counter", "uint16", "Message type counter")
F(sp, "pus.destination", "uint16", "Destination")
F(sp, "pus.source", "uint16", "Source")
F(sp, "pus.time", "bytes", "Time (CUC)")
F(sp, "pus.time_s", "double", "Time in s since the epoch of the code")

for proto, list in pairs(fields) do proto.fields = list end


local x, experts = {}, { [record] = {}, [tm] = {}, [tc] = {}, [sp] = {} }
local function X(proto, key, words, group, severity)
    x[key] = ProtoExpert.new("flatsat.expert." .. key, words, expert.group[group],
        expert.severity[severity])
    table.insert(experts[proto], x[key])
end
X(record, "gap", "Records are missing before this one", "SEQUENCE", "WARN")
X(record, "faulted", "Changed by a fault", "COMMENTS_GROUP", "NOTE")
X(record, "status", "Did not end well", "RESPONSE_CODE", "WARN")
X(record, "cut", "Ends too soon", "MALFORMED", "ERROR")
X(record, "snap", "Cut when it was written", "COMMENTS_GROUP", "NOTE")
X(tm, "vc_gap", "Frames of the virtual channel are missing", "SEQUENCE", "WARN")
X(tm, "tm_fecf", "Frame error control field does not match", "CHECKSUM", "ERROR")
X(tm, "tm_cut", "Not a whole frame", "MALFORMED", "ERROR")
X(tc, "tc_fecf", "Frame error control field does not match", "CHECKSUM", "ERROR")
X(tc, "bch", "Code block is damaged", "CHECKSUM", "ERROR")
X(tc, "tc_cut", "Not a whole frame", "MALFORMED", "ERROR")
X(sp, "sp_gap", "Packets of the APID before this one have not come", "SEQUENCE", "NOTE")
X(sp, "crc", "Packet error control does not match", "CHECKSUM", "ERROR")
X(sp, "sp_cut", "Not a whole packet", "MALFORMED", "ERROR")
for proto, list in pairs(experts) do proto.experts = list end

-- What is remembered between packets ----------------------------------------------------------

local state
local function forget()
    -- by number of the packet: what its first look found. seq: the next number of a record.
    state = { seq = nil, found = {}, vc = {}, apid = {}, randomised = {} }
end
forget()
record.init = forget

-- Return what `look` finds at the first pass over a packet, at every pass.
local function once(pinfo, key, look)
    local at = pinfo.number .. key
    if not pinfo.visited and state.found[at] == nil then state.found[at] = look() end
    return state.found[at]
end

local interface_name = Field.new("frame.interface_name")
local interface_text = Field.new("frame.interface_description")
local function said(field)
    local info = field()
    return info and tostring(info.value) or ""
end

-- Octets ----------------------------------------------------------------------------------------

local CRC16 = {}
for i = 0, 255 do
    local r = i * 256
    for _ = 1, 8 do
        r = r * 2
        if r >= 65536 then r = xor(r - 65536, 0x1021) end
    end
    CRC16[i] = r
end
-- CRC-16 of the first n octets of a string (x^16 + x^12 + x^5 + 1, ones first).
local function crc16(s, n)
    local r = 65535
    for i = 1, n do
        r = xor(r % 256 * 256, CRC16[xor(floor(r / 256), s:byte(i))])
    end
    return r
end

-- Remainders of the (63,56) code of CLTUs (x^7 + x^6 + x^2 + 1), the register one bit up.
local BCH = {}
for i = 0, 255 do
    local v = i
    for _ = 1, 8 do
        v = v * 2
        if v >= 256 then v = xor(v - 256, 0x8A) end
    end
    BCH[i] = v
end
local function is_code_block(s, at)
    local v = 0
    for i = at, at + 6 do v = BCH[xor(v, s:byte(i))] end
    return s:byte(at + 7) == 254 - v
end

-- One period of a randomiser: bit n + 8 is the sum of the bits at n + each tap.
local function sequence(taps)
    local bits, octets = {}, {}
    for n = 1, 255 * 8 do
        bits[n] = 1
        if n > 8 then
            local sum = 0
            for _, tap in ipairs(taps) do sum = sum + bits[n - 8 + tap] end
            bits[n] = sum % 2
        end
    end
    for at = 0, 254 do
        local octet = 0
        for bit_at = 1, 8 do octet = octet * 2 + bits[at * 8 + bit_at] end
        octets[at] = octet
    end
    return octets
end
local TM_SEQUENCE, TC_SEQUENCE = sequence({ 0, 3, 5, 7 }), sequence({ 0, 1, 2, 3, 4, 6 })

local function derandomised(s, octets)
    local out = {}
    for i = 1, #s do out[i] = string.char(xor(s:byte(i), octets[(i - 1) % 255])) end
    return table.concat(out)
end

local function u16(s, at) return s:byte(at) * 256 + s:byte(at + 1) end

-- Whether the n octets of a frame end in their own CRC.
local function is_good(s, n)
    return n > 2 and n <= #s and crc16(s, n - 2) == u16(s, n - 1)
end

local function raw(t, at, n)
    if n <= 0 then return "" end
    return t(at, n):raw()
end

-- Octets that are in no packet as they are, as a view of their own.
local function view(s, name)
    return ByteArray.new(s, true):tvb(name)
end

local function hex(t, at, n)
    if n <= 0 then return "" end
    local words = t(at, math.min(n, 24)):bytes():tohex(true)
    return n > 24 and words .. "…" or words
end

-- Space packets -----------------------------------------------------------------------------------

-- Packets of its APID between the newest so far and this one. One that comes late, out of a store
-- or again, is no loss and no newest.
local function packets_missing(pinfo, nth, key, count)
    return once(pinfo, "sp" .. nth, function()
        local newest = state.apid[key]
        local ahead = newest and (count - newest) % 16384 or 1
        if ahead == 0 or ahead >= 8192 then return nil end
        state.apid[key] = count
        return ahead > 1 and ahead - 1 or nil
    end)
end

-- Time of CUC (301.0-B) with its P-field at `at`; returns the octets that it takes.
local function cuc(t, at, last, tree)
    if at >= last then return 0 end
    local p = t(at, 1):uint()
    local code, coarse, fine = floor(p / 16), floor(p / 4) % 4 + 1, p % 4
    if (code ~= 1 and code ~= 2) or at + 1 + coarse + fine > last then return 0 end
    local range, seconds = t(at, 1 + coarse + fine), 0
    for i = 1, coarse do seconds = seconds * 256 + t(at + i, 1):uint() end
    for i = 1, fine do seconds = seconds + t(at + coarse + i, 1):uint() / 256 ^ i end
    tree:add(f["pus.time"], range)
    tree:add(f["pus.time_s"], range, seconds)
    return 1 + coarse + fine
end

-- PUS-C secondary header; returns where data begin, and words for the info column.
local function pus(t, at, last, is_command, tree)
    local least = is_command and 5 or 7
    if at + least > last or floor(t(at, 1):uint() / 16) ~= 2 then return at, nil end
    tree:add(f["pus.version"], t(at, 1))
    tree:add(is_command and f["pus.acks"] or f["pus.time_status"], t(at, 1))
    tree:add(f["pus.service"], t(at + 1, 1))
    tree:add(f["pus.subtype"], t(at + 2, 1))
    local words = string.format("%s[%d,%d]", is_command and "TC" or "TM", t(at + 1, 1):uint(),
        t(at + 2, 1):uint())
    if is_command then
        tree:add(f["pus.source"], t(at + 3, 2))
        return at + 5, words
    end
    tree:add(f["pus.counter"], t(at + 3, 2))
    tree:add(f["pus.destination"], t(at + 5, 2))
    return at + 7 + cuc(t, at + 7, last, tree), words
end

-- The packet at `at` of `limit` octets at most. Returns its octets and words for the info column.
local function packet(t, at, limit, pinfo, tree, nth)
    if limit < 7 then
        tree:add_proto_expert_info(x.sp_cut, "The packet ends in its header")
        return limit, "cut packet"
    end
    local id, order, size = t(at, 2):uint(), t(at + 2, 2):uint(), t(at + 4, 2):uint() + 7
    local apid, count, is_command = id % 2048, order % 16384, floor(id / 4096) % 2 == 1
    local here = math.min(size, limit)
    local sub = tree:add(sp, t(at, here))
    for _, key in ipairs({ "version", "type", "secondary", "apid" }) do
        sub:add(f["sp." .. key], t(at, 2))
    end
    sub:add(f["sp.flags"], t(at + 2, 2))
    sub:add(f["sp.count"], t(at + 2, 2))
    sub:add(f["sp.length"], t(at + 4, 2))
    if apid == 2047 then
        sub:append_text(", idle")
        return here, "idle"
    end
    local words = string.format("APID %d #%d", apid, count)
    local key = string.format("%s %s %d", said(interface_name), tostring(is_command), apid)
    local gap = packets_missing(pinfo, nth, key, count)
    if gap then
        sub:add_proto_expert_info(x.sp_gap, string.format("%d packets of APID %d before this one have not come", gap, apid))
        words = words .. " (gap)"
    end
    local from, last, header = at + 6, at + here, nil
    if here < size then
        sub:add_proto_expert_info(x.sp_cut, string.format("%d of %d octets are here", here, size))
    elseif floor(id / 2048) % 2 == 1 and last - from >= 4 then
        from, header = pus(t, from, last - 2, is_command, sub)
    end
    if header then
        last = last - 2
        local good = crc16(raw(t, at, here), here - 2) == t(last, 2):uint()
        sub:add(f["sp.crc"], t(last, 2))
        sub:add(f["sp.crc_good"], t(last, 2), good)
        if not good then sub:add_proto_expert_info(x.crc) end
        words = words .. " " .. header .. (good and "" or " bad CRC")
    end
    if last > from then sub:add(f["sp.data"], t(from, last - from)) end
    sub:append_text(": " .. words)
    return here, words
end

local PACKETS_MOST = 300

-- Packets from `at` up to `last`, whole ones; returns where the rest begins.
local function packets(t, at, last, pinfo, tree, said_so, nth)
    while last - at >= 7 and nth < PACKETS_MOST do
        local size = t(at + 4, 2):uint() + 7
        if size > last - at then break end
        local taken, words = packet(t, at, last - at, pinfo, tree, nth)
        said_so[#said_so + 1] = words
        at, nth = at + taken, nth + 1
    end
    return at
end

function sp.dissector(tvb, pinfo, tree)
    local n, at, said_so, nth = tvb:captured_len(), 0, {}, 0
    pinfo.cols.protocol = "CCSDS"
    while at < n and nth < PACKETS_MOST do
        local taken, words = packet(tvb, at, n - at, pinfo, tree, nth)
        said_so[#said_so + 1] = words
        at, nth = at + taken, nth + 1
    end
    pinfo.cols.info = table.concat(said_so, "; ")
    return n
end

-- TM transfer frames ------------------------------------------------------------------------------

-- Whether a frame is randomised: as the FECF says, else as the last frame of the interface was.
local function frame_randomised(s, n, pinfo)
    if tm.prefs.randomised ~= 0 then return tm.prefs.randomised == 1 end
    if not tm.prefs.fecf then return false end
    local name = said(interface_name)
    return once(pinfo, "tm", function()
        local is = state.randomised[name] or false
        if is_good(s, n) then
            is = false
        elseif is_good(derandomised(s, TM_SEQUENCE), n) then
            is = true
        end
        state.randomised[name] = is
        return is
    end)
end

-- Follow a virtual channel: {gap, joined}: frames missing before this one, and the octets of the
-- packet that began in frames before and ends in this one.
local function follow_channel(pinfo, key, count, fhp, data)
    return once(pinfo, "vc", function()
        local vc = state.vc[key] or {}
        state.vc[key] = vc
        local gap = vc.count and (count - vc.count - 1) % 256 or 0
        local rest, joined = gap == 0 and vc.rest or nil, nil
        vc.count, vc.rest = count, nil
        if fhp == 0x7FE then return { gap = gap } end
        local head = fhp == 0x7FF and data or data:sub(1, fhp)
        if rest and #rest + #head < 70000 then
            joined = rest .. head
            if #joined < 7 or #joined < u16(joined, 5) + 7 then
                vc.rest, joined = fhp == 0x7FF and joined or nil, nil
            end
        end
        local at = fhp + 1
        while fhp ~= 0x7FF and #data - at + 1 >= 7 and #data - at + 1 >= u16(data, at + 4) + 7 do
            at = at + u16(data, at + 4) + 7
        end
        if fhp ~= 0x7FF and at <= #data then vc.rest = data:sub(at) end
        return { gap = gap, joined = joined }
    end)
end

local function clcw(t, at, tree)
    local sub = tree:add(f.clcw, t(at, 4))
    local word = t(at, 4):uint()
    if word >= 2 ^ 31 then return end -- a report of another type
    for _, key in ipairs({ "cop", "vcid", "no_rf", "no_bit_lock", "lockout", "wait", "retransmit",
        "farm_b", "report" }) do
        sub:add(f["clcw." .. key], t(at, 4))
    end
end

-- Primary header; returns its numbers.
local function tm_header(t, tree)
    for _, key in ipairs({ "version", "scid", "vcid", "ocf" }) do tree:add(f["tm." .. key], t(0, 2)) end
    tree:add(f["tm.mc_count"], t(2, 1))
    tree:add(f["tm.vc_count"], t(3, 1))
    for _, key in ipairs({ "secondary", "sync", "fhp" }) do tree:add(f["tm." .. key], t(4, 2)) end
    local id, status = t(0, 2):uint(), t(4, 2):uint()
    return {
        scid = floor(id / 16) % 1024, vcid = floor(id / 2) % 8, ocf = id % 2 == 1,
        count = t(3, 1):uint(), fhp = status % 2048,
        secondary = status >= 32768, sync = floor(status / 16384) % 2 == 1,
    }
end

local function tm_data(t, first, last, head, pinfo, tree)
    local said_so = {}
    local data = raw(t, first, last - first)
    local key = string.format("%s %d %d", said(interface_name), head.scid, head.vcid)
    local fhp = head.sync and 0x7FE or head.fhp
    local found = follow_channel(pinfo, key, head.count, fhp, data) or { gap = 0 }
    if found.gap > 0 then
        tree:add_proto_expert_info(x.vc_gap, string.format(
            "%d frames of virtual channel %d are missing", found.gap, head.vcid))
        said_so[1] = string.format("(gap of %d)", found.gap)
    end
    if found.joined then
        local whole = view(found.joined, "Packet from several frames")
        packets(whole, 0, #found.joined, pinfo, tree, said_so, 0)
    end
    if fhp == 0x7FE then
        said_so[#said_so + 1] = head.sync and "stream" or "only idle data"
    elseif fhp ~= 0x7FF and first + fhp < last then
        local rest = packets(t, first + fhp, last, pinfo, tree, said_so, 1)
        if rest < last then said_so[#said_so + 1] = "…" end
    end
    return table.concat(said_so, "; ")
end

-- A frame without its marker; returns words for the info column.
local function tm_frame(t, n, randomised, pinfo, tree)
    tree:add(f["tm.randomised"], randomised):set_generated()
    local head = tm_header(t, tree)
    local first, last, good = 6, n, true
    if tm.prefs.fecf then
        last = n - 2
        good = is_good(raw(t, 0, n), n)
        tree:add(f["tm.fecf"], t(last, 2))
        tree:add(f["tm.fecf_good"], t(last, 2), good)
        if not good then tree:add_proto_expert_info(x.tm_fecf) end
    end
    local words = string.format("TM scid 0x%x vc %d #%d", head.scid, head.vcid, head.count)
    if not good then return words .. " bad FECF" end -- nothing of it can be believed
    if head.ocf and last - first >= 4 then
        last = last - 4
        clcw(t, last, tree)
    end
    if head.secondary and last > first then
        local size = math.min(t(first, 1):uint() % 64 + 1, last - first)
        tree:add(f["tm.secondary_header"], t(first, size))
        first = first + size
    end
    if last <= first then return words end
    tree:add(f["tm.data"], t(first, last - first))
    return words .. " " .. tm_data(t, first, last, head, pinfo, tree)
end

function tm.dissector(tvb, pinfo, tree)
    local n, at = tvb:captured_len(), 0
    local sub = tree:add(tm, tvb)
    pinfo.cols.protocol = "TM"
    if n >= 4 and tvb(0, 4):uint() == 0x1ACFFC1D then
        sub:add(f["tm.asm"], tvb(0, 4))
        at = 4
    end
    local size = n - at - tm.prefs.check
    if size < 8 then
        sub:add_proto_expert_info(x.tm_cut)
        pinfo.cols.info = "cut TM frame"
        return n
    end
    local s = raw(tvb, at, size)
    local randomised = frame_randomised(s, size, pinfo)
    local t = tvb(at, size):tvb()
    if randomised then t = view(derandomised(s, TM_SEQUENCE), "Derandomised frame") end
    pinfo.cols.info = tm_frame(t, size, randomised, pinfo, sub)
    return n
end

-- Telecommand units -------------------------------------------------------------------------------

local function has_segment_header(t, at, last)
    if tc.prefs.segments ~= 0 then return tc.prefs.segments == 1 end
    if last - at < 8 then return false end
    local function is_packet(from)
        return t(from, 1):uint() < 32 and t(from + 4, 2):uint() + 7 <= last - from
    end
    return is_packet(at + 1) and not (is_packet(at) and t(at + 4, 2):uint() + 7 == last - at)
end

local function tc_frame(t, n, randomised, pinfo, tree)
    for _, key in ipairs({ "version", "bypass", "control", "scid" }) do
        tree:add(f["tc." .. key], t(0, 2))
    end
    tree:add(f["tc.vcid"], t(2, 2))
    tree:add(f["tc.length"], t(2, 2))
    tree:add(f["tc.seq"], t(4, 1))
    tree:add(f["tc.randomised"], randomised):set_generated()
    local id, size = t(0, 2):uint(), t(2, 2):uint() % 1024 + 1
    local is_control = floor(id / 4096) % 2 == 1
    local words = string.format("TC scid 0x%x vc %d %s#%d", id % 1024,
        floor(t(2, 2):uint() / 1024), floor(id / 8192) % 2 == 1 and "bypass " or "", t(4, 1):uint())
    if size > n or size < 7 then
        tree:add_proto_expert_info(x.tc_cut, string.format("%d of %d octets are here", n, size))
        return words .. " cut"
    end
    local at, last, good = 5, size - 2, is_good(raw(t, 0, size), size)
    tree:add(f["tc.fecf"], t(last, 2))
    tree:add(f["tc.fecf_good"], t(last, 2), good)
    if not good then
        tree:add_proto_expert_info(x.tc_fecf)
        return words .. " bad FECF"
    end
    if not is_control and has_segment_header(t, at, last) and at < last then
        tree:add(f["tc.segment"], t(at, 1))
        tree:add(f["tc.map"], t(at, 1))
        at = at + 1
    end
    if at >= last then return words end
    tree:add(f["tc.data"], t(at, last - at))
    if is_control then return words .. " control " .. hex(t, at, last - at) end
    local said_so = {}
    packets(t, at, last, pinfo, tree, said_so, 0)
    return words .. " " .. table.concat(said_so, "; ")
end

local TAIL = "\xC5\xC5\xC5\xC5\xC5\xC5\xC5\x79"

function tc.dissector(tvb, pinfo, tree)
    local n, at, blocks = tvb:captured_len(), 0, {}
    local sub = tree:add(tc, tvb)
    pinfo.cols.protocol = "TC"
    if n >= 2 and tvb(0, 2):uint() == 0xEB90 then
        sub:add(f["cltu.start"], tvb(0, 2))
        at = 2
    end
    local s = raw(tvb, 0, n)
    while at + 8 <= n and is_code_block(s, at + 1) do
        blocks[#blocks + 1] = s:sub(at + 1, at + 7)
        at = at + 8
    end
    sub:add(f["cltu.blocks"], #blocks):set_generated()
    if at < n then
        if s:sub(at + 1, at + 8) == TAIL then
            sub:add(f["cltu.tail"], tvb(at, 8))
        else
            sub:add_proto_expert_info(x.bch, string.format("code block %d is damaged", #blocks + 1))
        end
    end
    local frame = table.concat(blocks)
    if #frame < 7 then
        sub:add_proto_expert_info(x.tc_cut)
        pinfo.cols.info = "CLTU without a frame"
        return n
    end
    local plain = derandomised(frame, TC_SEQUENCE)
    local randomised = not is_good(frame, u16(frame, 3) % 1024 + 1)
        and is_good(plain, u16(plain, 3) % 1024 + 1)
    local t = view(randomised and plain or frame, "Frame of the CLTU")
    pinfo.cols.info = tc_frame(t, #frame, randomised, pinfo, sub)
    return n
end

-- Payloads of buses: (tvb, octets, header, tree, pinfo) -> words for the info column -----------------

local PARTS_MOST = 1000
local payload = {}

local function cut(tree, words, head)
    if head.snapped then return end -- it is whole, only not here
    tree:add_proto_expert_info(x.cut, words)
end

payload[0x10] = function(t, n, head, tree)
    local at, said_so = 0, {}
    while at + 6 <= n and #said_so < PARTS_MOST do
        local address, flags, size = t(at, 2):le_uint(), t(at + 2, 2):le_uint(), t(at + 4, 2):le_uint()
        local reads = flags % 2 == 1
        local octets = (reads and not head.reply) and 0 or size
        local here = math.min(octets, n - at - 6)
        local words = string.format("0x%02x %s %s", address, reads and "R" or "W",
            octets > 0 and hex(t, at + 6, here) or tostring(size))
        local sub = tree:add(record, t(at, 6 + here), "Message " .. words)
        sub:add_le(f["i2c.address"], t(at, 2))
        for _, key in ipairs({ "flags", "read", "ten_bit", "length_first" }) do
            sub:add_le(f["i2c." .. key], t(at + 2, 2))
        end
        sub:add_le(f["i2c.length"], t(at + 4, 2))
        if here > 0 then sub:add(f["i2c.data"], t(at + 6, here)) end
        said_so[#said_so + 1] = words
        at = at + 6 + octets
    end
    if at ~= n then cut(tree, "The record ends inside a message", head) end
    return table.concat(said_so, " · ", 1, math.min(#said_so, 8))
end

payload[0x11] = function(t, n, head, tree)
    local at, said_so = 0, {}
    while at + 12 <= n and #said_so < PARTS_MOST do
        local size = t(at, 4):le_uint()
        local both = head.reply and 2 * size or size
        local sent = math.min(size, n - at - 12)
        local got = head.reply and math.min(size, n - at - 12 - sent) or 0
        local words = hex(t, at + 12, sent)
        if got > 0 then words = words .. " → " .. hex(t, at + 12 + sent, got) end
        local sub = tree:add(record, t(at, 12 + sent + got), "Segment " .. words)
        sub:add_le(f["spi.length"], t(at, 4))
        sub:add_le(f["spi.speed_hz"], t(at + 4, 4))
        sub:add(f["spi.bits"], t(at + 8, 1))
        sub:add(f["spi.flags"], t(at + 9, 1))
        sub:add(f["spi.cs_change"], t(at + 9, 1))
        sub:add_le(f["spi.delay_us"], t(at + 10, 2))
        if sent > 0 then sub:add(f["spi.tx"], t(at + 12, sent)) end
        if got > 0 then sub:add(f["spi.rx"], t(at + 12 + sent, got)) end
        said_so[#said_so + 1] = words
        at = at + 12 + both
    end
    if at ~= n then cut(tree, "The record ends inside a segment", head) end
    return string.format("cs %d %s", head.address,
        table.concat(said_so, " · ", 1, math.min(#said_so, 8)))
end

payload[0x12] = function(t, n, _, tree)
    if n == 0 then return "" end
    tree:add(f["uart.data"], t(0, n))
    local text = raw(t, 0, math.min(n, 64))
    if text:find("^[\32-\126\r\n\t]+$") then return (text:gsub("[\r\n]+", "⏎")) end
    return hex(t, 0, n)
end

payload[0x13] = function(t, n, head) -- longer than CAN allows, or it would be a CAN frame
    return string.format("0x%x %s", head.address, hex(t, 0, n))
end

payload[0x14] = function(t, n, head, tree)
    tree:add(f["gpio.line"], head.address):set_generated()
    if n == 0 then return string.format("line %d", head.address) end
    tree:add(f["gpio.level"], t(0, 1))
    return string.format("line %d = %d", head.address, t(0, 1):uint())
end

payload[0x15] = function(t, n, head, tree)
    if not head.reply and n == 4 then
        tree:add_le(f["frame.exposure_us"], t(0, 4))
        return string.format("exposure %d us", t(0, 4):le_uint())
    end
    if n < 8 then return "no pixels" end
    for i, key in ipairs({ "width", "height" }) do tree:add_le(f["frame." .. key], t(2 * i - 2, 2)) end
    tree:add(f["frame.channels"], t(4, 1))
    tree:add(f["frame.bits"], t(5, 1))
    if n > 8 then tree:add(f["frame.pixels"], t(8, n - 8)) end
    return string.format("%d x %d, %d channels of %d bits", t(0, 2):le_uint(), t(2, 2):le_uint(),
        t(4, 1):uint(), t(5, 1):uint())
end

payload[0x16] = function(t, n, head, tree)
    local at = head.reply and 16 or 0
    if n < at + 4 then return "" end
    if head.reply then
        tree:add_le(f["load.duration_ns"], t(0, 8))
        tree:add_le(f["load.energy_uj"], t(8, 8))
    end
    tree:add_le(f["load.units"], t(at, 4))
    if n > at + 4 then tree:add(f["load.class"], t(at + 4, n - at - 4)) end
    return string.format("%d units", t(at, 4):le_uint())
end

payload[0x17] = function(t, n, head, tree)
    local at, said_so = 0, {}
    while at + 4 <= n and #said_so < PARTS_MOST do
        local op, size = t(at, 1):uint(), t(at + 2, 2):le_uint()
        local octets = (op == 1 or head.reply) and size or 0
        local here = math.min(octets, n - at - 4)
        local name = ({ [0] = "reset", "write", "read", "triplet" })[op] or tostring(op)
        local words = name .. " " .. hex(t, at + 4, here)
        local sub = tree:add(record, t(at, 4 + here), "Step " .. words)
        sub:add(f["onewire.op"], t(at, 1))
        sub:add_le(f["onewire.length"], t(at + 2, 2))
        if here > 0 then sub:add(f["onewire.data"], t(at + 4, here)) end
        said_so[#said_so + 1] = words
        at = at + 4 + octets
    end
    if at ~= n then cut(tree, "The record ends inside a step", head) end
    return table.concat(said_so, " · ", 1, math.min(#said_so, 8))
end

-- Transfer frames and JSON have dissectors of their own.
local function handed_on(dissector)
    return function(t, n, _, tree, pinfo)
        if n == 0 then return "" end
        dissector(t, pinfo, tree)
        return nil
    end
end
payload[0x20] = handed_on(function(t, pinfo, tree) tm.dissector(t, pinfo, tree) end)
payload[0x21] = handed_on(function(t, pinfo, tree) tc.dissector(t, pinfo, tree) end)

local has_json, json = pcall(Dissector.get, "json")
local function as_json(t, n, _, tree, pinfo)
    if n == 0 then return "" end
    local text = raw(t, 0, math.min(n, 4096))
    if has_json and json then
        json:call(t, pinfo, tree)
    else
        tree:add(f.payload, t(0, n))
    end
    local name = text:match('"name":"([^"]*)"') or text:match('"kind":"([^"]*)"')
    return name and name .. " " .. text:sub(1, 120) or text:sub(1, 120)
end
for _, kind in ipairs({ 0x09, 0x0A, 0x22, 0x30, 0x31, 0x32 }) do payload[kind] = as_json end

-- Records -----------------------------------------------------------------------------------------

-- Records missing before this one, and nothing where a selection leaves numbers out.
local function records_missing(pinfo, kind, seq)
    if not record.prefs.gaps then return nil end
    return once(pinfo, "seq", function()
        local gap = state.seq and (seq - state.seq) % 2 ^ 32 or 0
        state.seq = (kind >= FIRST_NUMBERED and kind ~= WORLD) and (seq + 1) % 2 ^ 32 or seq
        if gap == 0 or gap >= 2 ^ 31 or said(interface_text):find("selection", 1, true) then
            return nil
        end
        return gap
    end)
end

-- The header at `at`: its fields, and what is to be remarked. Returns its numbers.
local function header(t, at, pinfo, tree)
    local flags, status = t(at + 2, 1):uint(), t(at + 3, 1):uint()
    local head = {
        kind = t(at, 1):uint(), length = t(at + 4, 4):le_uint(), reply = flags % 2 == 1,
        seq = t(at + 24, 4):le_uint(), address = t(at + 28, 4):le_uint(),
    }
    tree:add(f.kind, t(at, 1))
    tree:add(f.channel, t(at + 1, 1))
    local sub = tree:add(f.flags, t(at + 2, 1))
    for _, key in ipairs({ "reply", "input", "faulted", "wake", "can_brs", "can_esi", "can_fd",
        "board" }) do
        sub:add(f["flags." .. key], t(at + 2, 1))
    end
    tree:add(f.status, t(at + 3, 1))
    tree:add_le(f.length, t(at + 4, 4))
    tree:add_le(f.t_ns, t(at + 8, 8))
    tree:add(f.t_s, t(at + 8, 8), t(at + 8, 8):le_uint64():tonumber() / 1e9):set_generated()
    tree:add_le(f.duration_ns, t(at + 16, 8))
    tree:add_le(f.seq, t(at + 24, 4))
    tree:add_le(f.address, t(at + 28, 4))
    head.words = ""
    local gap = records_missing(pinfo, head.kind, head.seq)
    if gap then
        tree:add_proto_expert_info(x.gap, string.format("%d records are missing before #%d", gap, head.seq))
        head.words = head.words .. string.format(" [%d records missing before]", gap)
    end
    if floor(flags / FAULTED) % 2 == 1 then
        tree:add_proto_expert_info(x.faulted)
        head.words = head.words .. " [faulted]"
    end
    if status ~= 0 then
        local name = STATUS[status] or tostring(status)
        tree:add_proto_expert_info(x.status, "Status " .. name)
        head.words = head.words .. " [" .. name .. "]"
    end
    return head
end

function record.dissector(tvb, pinfo, tree)
    local n = tvb:captured_len()
    local sub = tree:add(record, tvb)
    pinfo.cols.protocol = "FlatSat"
    if n < HEADER then
        sub:add_proto_expert_info(x.cut, "A record has 32 octets of header")
        pinfo.cols.info = "cut record"
        return n
    end
    local head = header(tvb, 0, pinfo, sub)
    local name = KIND[head.kind] or string.format("kind 0x%02x", head.kind)
    sub:append_text(string.format(" %s #%d", name, head.seq))
    local here = math.min(head.length, n - HEADER)
    head.snapped = tvb:reported_len() > n
    if head.snapped then sub:add_proto_expert_info(x.snap) end
    if here < head.length and not head.snapped then
        sub:add_proto_expert_info(x.cut, string.format("%d of %d octets of payload are here", here, head.length))
    end
    local read, words = payload[head.kind], nil
    pinfo.cols.src = said(interface_name)
    if here == 0 or not read then
        if here > 0 then sub:add(f.payload, tvb(HEADER, here)) end
        words = here > 0 and hex(tvb, HEADER, here) or ""
    end
    if read and (here > 0 or head.kind == 0x14) then
        local t = tvb(HEADER - (here > 0 and 0 or 1), math.max(here, 1)):tvb()
        words = read(t, here, head, head.kind < 0x20 and sub or tree, pinfo)
    end
    if words then -- else the dissector of the payload has filled the columns
        pinfo.cols.protocol = name
        pinfo.cols.info = words
    end
    pinfo.cols.info:append(head.words)
    return n
end

-- Behind a CAN frame, where Wireshark sees padding, stands the header of its record.
function trailer.dissector(tvb, pinfo, tree)
    local n = tvb:captured_len()
    if n < 8 + HEADER or tvb(n - HEADER, 1):uint() ~= CAN then return end
    local size, at = tvb(4, 1):uint(), n - HEADER
    if n ~= 8 + size + HEADER or tvb(at + 4, 4):le_uint() ~= size
        or tvb(at + 28, 4):le_uint() ~= tvb(0, 4):uint() then
        return
    end
    local sub = tree:add(record, tvb(at, HEADER))
    local head = header(tvb, at, pinfo, sub)
    sub:append_text(string.format(" CAN #%d", head.seq))
    pinfo.cols.src = said(interface_name)
    pinfo.cols.info:append(head.words)
end
register_postdissector(trailer)

local encapsulations, numbers = DissectorTable.get("wtap_encap"), wtap_encaps or wtap
for i, proto in ipairs({ record, tm, tc, sp }) do
    encapsulations:add(numbers["USER" .. (i - 1)], proto)
end
