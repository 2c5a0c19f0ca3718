// A Pico: the chip, its flash, and its pins.
import { I2CBus } from './i2c.mjs';
import { KIND } from './wires.mjs';

const FLASH = 0x10000000;
const BOOT2_NBYTES = 256;
const BOOT2_AT = 0x20041f00; // where the boot ROM puts the second stage (RP2040 data sheet 2.8.1.3)
const CPU_HZ = 12e6;
const SDA_PIN = 4;
const SCL_PIN = 5;
const FIFO_ROOM = 16; // of the 32 octets that may wait in the UART
const OCTET_BITS = 10;
const POWER_ON = 1;
const BROWN_OUT = 4; // bits of the cause in RESET
const HAD_POR = 1 << 8;
const HAD_RUN = 1 << 16;
const COUNTERS = 10;

// Return the flash of an image in Intel HEX.
function flashOf(text) {
  const pieces = [];
  let base = 0;
  for (const line of text.split(/\s+/)) {
    const octets = Buffer.from(line.slice(1), 'hex');
    if (octets[3] === 4) base = octets.readUInt16BE(4) * 0x10000;
    else if (octets[3] === 0) pieces.push([base + octets.readUInt16BE(1) - FLASH, octets.subarray(4, -1)]);
  }
  return pieces;
}

// CRC-32 as the boot ROM has it: 0x04C11DB7, preset to ones, neither reflected nor inverted.
function crc32(octets) {
  let crc = 0xffffffff;
  for (const octet of octets) {
    crc ^= octet << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80000000 ? crc << 1 ^ 0x04c11db7 : crc << 1) >>> 0;
  }
  return crc >>> 0;
}

// The register that knows what the last reset was (2.12.8).
class ChipReset {
  constructor(had) {
    this.had = had;
  }
  readUint32(offset) {
    return offset === 8 ? this.had : 0;
  }
  writeUint32() {}
  writeUint32Atomic() {}
}

export class Board {
  constructor(library, image, wires) {
    this.library = library;
    this.image = flashOf(image);
    this.wires = wires;
    this.onRate = () => {};
    this.i2c = new I2CBus(
      (kind, payload) => wires.ask(kind, this.cycles, payload),
      (kind, payload) => wires.tell(kind, this.cycles, payload),
    );
    this.counters = new Array(COUNTERS).fill(0);
    this.driven = new Array(4).fill(0).map(() => ({ mask: 0, value: 0 }));
    this.out = [];
    this.held = false;
    this.nextHearNs = 0;
    this.power(HAD_POR, null, 0);
  }

  get ns() {
    return this.clock.nanos;
  }
  get cycles() {
    return this.clock.nanos * CPU_HZ / 1e9;
  }
  get asleep() {
    return this.held || this.chip.core.waiting;
  }
  get nextAlarmNs() {
    return this.held ? Infinity : this.clock.nanosToNextAlarm;
  }

  // Start the chip anew. sram: what its RAM still holds, null: what RAM holds when power comes.
  power(had, sram, reason) {
    const from = this.clock ? this.clock.nanos : 0;
    const machine = new this.library.Simulator();
    this.chip = machine.rp2040;
    this.clock = machine.clock;
    this.clock.tick(from);
    this.chip.logger = { debug() {}, info() {}, warn() {}, error() {} };
    if (sram) this.chip.sram.set(sram);
    else for (let at = 0; at < this.chip.sram.length; at += 65536) crypto.getRandomValues(this.chip.sram.subarray(at, at + 65536));
    for (const [at, octets] of this.image) this.chip.flash.set(octets, at);
    this.chip.peripherals[0x40064] = new ChipReset(had);
    const watchdog = this.chip.peripherals[0x40058];
    watchdog.reason = reason;
    watchdog.onWatchdogTrigger = () => { this.again = watchdog.reason; };
    this.again = null;
    this.rate = 0;
    this.connect();
    this.start();
  }

  // As the boot ROM does: the second stage, if its check is right, is copied to RAM and run there.
  start() {
    const boot2 = this.chip.flash.subarray(0, BOOT2_NBYTES);
    const check = new DataView(boot2.buffer, boot2.byteOffset).getUint32(BOOT2_NBYTES - 4, true);
    if (crc32(boot2.subarray(0, BOOT2_NBYTES - 4)) !== check) {
      process.stderr.write('the image has no second stage with a right check: a Pico would not start it\n');
      process.exit(2);
    }
    this.chip.sram.set(boot2, BOOT2_AT - 0x20000000);
    this.chip.core.SP = 0x20041f00;
    this.chip.core.PC = BOOT2_AT;
  }

  connect() {
    const { chip } = this;
    const [uart] = chip.uart;
    uart.onByte = (octet) => { this.out.push(octet); this.counters[1]++; };
    uart.onBaudRateChange = (baud) => { this.rate = baud; };
    for (const pin of chip.gpio) pin.addListener(() => this.pinMoved(pin.index));
    for (const pin of chip.gpio) pin.setInputValue(false);
    const [spi] = chip.spi;
    spi.onTransmit = (octet) => spi.completeTransmit(this.exchange(spi, octet));
    this.i2c.restart();
    this.setLines();
    for (let port = 0; port < 4; port++) this.setPort(port);
  }

  exchange(spi, octet) {
    const payload = Buffer.alloc(6);
    payload[0] = octet;
    payload[1] = (spi.control0 >> 7 & 1) | (spi.control0 >> 5 & 2);
    payload.writeUInt32LE(Math.round(CPU_HZ / (spi.clockDivisor || 2) / (1 + (spi.control0 >> 8 & 255))), 2);
    this.counters[6]++;
    const answer = this.wires.ask(KIND.SPI, this.cycles, payload);
    return answer === null ? 255 : answer[0];
  }

  isLow(index) {
    return this.chip.gpio[index].value === 0;
  }

  pinMoved(index) {
    if (index === SDA_PIN || index === SCL_PIN) {
      this.i2c.move(this.isLow(SCL_PIN) ? 0 : 1, this.isLow(SDA_PIN) ? 0 : 1);
      this.setLines();
      return;
    }
    const port = index >> 3;
    const { gpioOutputEnable: direction, gpioValue: value } = this.chip.sio;
    this.wires.tell(KIND.PORT, this.cycles, [port, direction >> 8 * port & 255, value >> 8 * port & 255]);
    this.setPin(index);
  }

  setLines() {
    this.chip.gpio[SCL_PIN].setInputValue(!!this.i2c.sclLevel);
    this.chip.gpio[SDA_PIN].setInputValue(!!this.i2c.sdaLevel);
  }

  // The level of a pin: what the chip drives, what drives it from outside, what pulls it.
  setPin(index) {
    const pin = this.chip.gpio[index];
    const { mask, value } = this.driven[index >> 3];
    const bit = 1 << (index & 7);
    let level = pin.value === 1 || pin.value === 3;
    if (mask & bit && pin.value > 1) level = !!(value & bit);
    if (pin.rawInputValue !== level) pin.setInputValue(level);
  }

  setPort(port) {
    for (let index = 8 * port; index < Math.min(8 * port + 8, 30); index++)
      if (index !== SDA_PIN && index !== SCL_PIN) this.setPin(index);
  }

  // --- time ---------------------------------------------------------------------------------------

  run(untilNs) {
    const { chip, clock } = this;
    const cycleNs = 1e9 / CPU_HZ;
    while (clock.nanos < untilNs && !this.asleep) {
      clock.tick(chip.core.executeInstruction() * cycleNs);
      this.rouse();
      if (this.again !== null) {
        this.counters[7]++;
        return this.power(0, chip.sram, this.again);
      }
    }
    if (this.rate) this.onRate(this.rate);
    this.rate = 0;
  }

  // WFI falls through where an interrupt is pending; rp2040js 1.4.1 sleeps over it.
  rouse() {
    const { core } = this.chip;
    if (core.waiting && core.checkForInterrupts()) core.waiting = false;
  }

  // Let time pass; alarms on the way wake the processor.
  sleepUntil(ns) {
    while (this.clock.nanos < ns && this.asleep) {
      const next = this.nextAlarmNs;
      this.clock.tick(next > 0 ? Math.min(next, ns - this.clock.nanos) : ns - this.clock.nanos);
      if (!this.held) this.rouse();
    }
  }

  // --- the link -----------------------------------------------------------------------------------

  hear(octet) {
    const [uart] = this.chip.uart;
    if (this.held) return true;
    if (this.ns < this.nextHearNs || uart.rxFIFO.itemCount >= FIFO_ROOM) return false;
    this.nextHearNs = this.ns + OCTET_BITS * 1e9 / (uart.baudDivider ? uart.baudRate : 115200);
    if (!uart.rxEnabled) return true; // nobody hears it
    uart.feedByte(octet);
    this.counters[0]++;
    this.rouse();
    return true;
  }

  said() {
    const octets = Buffer.from(this.out);
    this.out.length = 0;
    return octets;
  }

  // --- what the bench does to the board -----------------------------------------------------------

  obey(message) {
    const [kind, a, b, c] = message;
    if (kind === KIND.RESET) {
      const lost = a & (POWER_ON | BROWN_OUT);
      this.counters[7]++;
      this.out.length = 0;
      this.power(lost ? HAD_POR : HAD_RUN, lost ? null : this.chip.sram, 0);
      this.held = !!b;
      this.wires.tell(KIND.RESET_DONE, this.cycles, [a]);
    } else if (kind === KIND.DRIVE) {
      this.driven[a] = { mask: b, value: c };
      this.setPort(a);
    } else if (kind === KIND.HOLD) {
      this.i2c.hold(a, b);
      this.setLines();
    } else if (kind === KIND.TRANSACT) { // the firmware of the Pico is no target
      const payload = Buffer.alloc(15);
      payload[0] = 6;
      this.wires.tell(KIND.TARGET_DONE, this.cycles, payload);
    } else if (kind === KIND.ASK_STATUS) {
      const octets = Buffer.alloc(1 + 4 * COUNTERS);
      this.counters.forEach((count, at) => octets.writeUInt32LE(count >>> 0, 1 + 4 * at));
      this.wires.tell(KIND.STATUS, this.cycles, octets);
    }
  }
}
