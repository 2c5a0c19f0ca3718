// The board's end of the wires: hil/boards/wires.py says what is in a message.
//
// The descriptor is a SEQPACKET socket, which node knows no name for; read and write keep its messages.
// A question stops the chip until it is answered, as the time of the board stands still meanwhile.
import fs from 'node:fs';

export const KIND = {
  START: 1, WRITE: 2, MORE: 3, STOP: 4, SPI: 5, PORT: 6, RATE: 7, TARGET_DONE: 8, STATUS: 9,
  RESET_DONE: 10, RESET: 0x40, TRANSACT: 0x41, HOLD: 0x42, DRIVE: 0x43, ASK_STATUS: 0x44,
};
const ANSWER = 0x80;
const HEAD_NBYTES = 9;
const MESSAGE_NBYTES = 600;
const nap = new Int32Array(new SharedArrayBuffer(4));

export class Wires {
  constructor(fd) {
    this.fd = fd === undefined ? -1 : Number(fd);
    this.waiting = []; // messages of the bench that came before an answer
  }

  static u32(value) {
    const octets = Buffer.alloc(4);
    octets.writeUInt32LE(value >>> 0);
    return octets;
  }

  tell(kind, cycles, payload) {
    if (this.fd < 0) return;
    const message = Buffer.alloc(HEAD_NBYTES + payload.length);
    message[0] = kind;
    message.writeBigUInt64LE(BigInt(Math.floor(cycles)), 1);
    Buffer.from(payload).copy(message, HEAD_NBYTES);
    for (;;) {
      try {
        fs.writeSync(this.fd, message);
        return;
      } catch (error) {
        this.pass(error);
      }
    }
  }

  // Return the answer to a question, or null where nobody is at the other end.
  ask(kind, cycles, payload) {
    if (this.fd < 0) return null;
    this.tell(kind, cycles, payload);
    for (;;) {
      const message = this.read();
      if (message && message[0] === (kind | ANSWER)) return message.subarray(1);
      if (message) this.waiting.push(message);
      else Atomics.wait(nap, 0, 0, 0.05);
    }
  }

  // Return the next message of the bench, or null.
  poll() {
    return this.waiting.shift() ?? (this.fd < 0 ? null : this.read());
  }

  read() {
    const message = Buffer.alloc(MESSAGE_NBYTES);
    let n = 0;
    try {
      n = fs.readSync(this.fd, message);
    } catch (error) {
      this.pass(error);
      return null;
    }
    if (n === 0) process.exit(0);
    return message.subarray(0, n);
  }

  // The descriptor does not block: nothing there, or no room, is no error.
  pass(error) {
    if (error.code !== 'EAGAIN') process.exit(0);
    Atomics.wait(nap, 0, 0, 0.02);
  }
}
