// What targets on an I2C bus see, bit by bit, and do to its data line (NXP UM10204 section 3.1).
//
// The firmware moves the two lines as pins; this turns them into the messages of the wires.
import { KIND } from './wires.mjs';

const BITS = 8;
const u16 = (value) => Buffer.from([value & 255, value >> 8]);

export class I2CBus {
  // ask and tell are those of the wires, with the time already given.
  constructor(ask, tell) {
    this.ask = ask;
    this.tell = tell;
    this.scl = this.sda = 1; // what the firmware does to them
    this.pull = 1; // what a target does to SDA: 0 holds it low
    this.held = { scl: 0, sda: 0, clocks: 0 }; // by nobody in particular
    this.restart();
  }

  restart() {
    this.phase = 'idle';
    this.bit = this.octet = this.clocked = 0;
    this.served = [];
    this.pull = 1;
  }

  get sclLevel() {
    return this.held.scl ? 0 : this.scl;
  }

  get sdaLevel() {
    return this.held.sda ? 0 : this.sda & this.pull;
  }

  hold(lines, clocks) {
    this.held = { sda: lines & 1, scl: lines >> 1 & 1, clocks };
  }

  // The firmware has moved its side of the lines.
  move(scl, sda) {
    const before = { scl: this.sclLevel, sda: this.sdaLevel };
    this.scl = scl;
    this.sda = sda;
    const now = { scl: this.sclLevel, sda: this.sdaLevel };
    if (before.scl && now.scl && before.sda !== now.sda) {
      if (now.sda) this.stop();
      else this.start();
    } else if (!before.scl && now.scl) {
      this.rise(now.sda);
    } else if (before.scl && !now.scl) {
      this.fall();
    }
  }

  start() {
    this.repeated = this.phase !== 'idle';
    this.phase = 'address';
    this.bit = this.octet = 0;
    this.pull = 1;
  }

  stop() {
    if (this.phase !== 'idle') this.tell(KIND.STOP, u16(this.clocked));
    this.restart();
  }

  rise(level) {
    if (this.held.sda && this.held.clocks && --this.held.clocks === 0) this.held.sda = 0;
    if (this.phase === 'idle' || this.phase === 'deaf') return;
    if (this.bit < BITS) this.octet = this.octet << 1 & 255 | level;
    else if (this.phase === 'serve') this.goesOn = !level;
    this.bit++;
  }

  fall() {
    if (this.phase === 'idle' || this.phase === 'deaf') return;
    if (this.phase === 'serve') this.fallServing();
    else if (this.bit === BITS) this.acknowledge();
    else if (this.bit > BITS) this.next();
  }

  // Eight bits are in: the ninth is the target's.
  acknowledge() {
    const { octet } = this;
    let answer;
    if (this.phase === 'address') {
      answer = this.ask(KIND.START, Buffer.concat([Buffer.from([octet, this.repeated ? 1 : 0]), u16(this.clocked)]));
      this.clocked = 0;
      this.then = octet & 1 ? 'serve' : 'write';
    } else {
      answer = this.ask(KIND.WRITE, Buffer.from([octet]));
      this.then = 'write';
    }
    this.take(answer);
    this.pull = this.acked ? 0 : 1;
  }

  take(answer) {
    this.acked = answer !== null && answer[0] === 1;
    this.served = answer === null ? [] : [...answer.subarray(5)];
  }

  // The ninth clock is over.
  next() {
    this.pull = 1;
    this.bit = this.octet = 0;
    this.phase = this.acked ? this.then : 'deaf';
    if (this.phase === 'serve') this.load();
  }

  load() {
    if (!this.served.length) this.take(this.ask(KIND.MORE, u16(this.clocked)));
    this.sending = this.served.length ? this.served.shift() : 255;
    this.clocked++;
    this.bit = 0;
    this.pull = this.sending >> 7 & 1;
  }

  fallServing() {
    if (this.bit < BITS) {
      this.pull = this.sending >> (BITS - 1 - this.bit) & 1;
    } else if (this.bit === BITS) {
      this.pull = 1; // the controller's to acknowledge
    } else if (this.goesOn) {
      this.load();
    } else {
      this.phase = 'deaf';
      this.pull = 1;
    }
  }
}
