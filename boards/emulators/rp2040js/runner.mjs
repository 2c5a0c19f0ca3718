// Runs an image on rp2040js, started as the boot ROM of an RP2040 starts it.
//
//   node runner.mjs --uart-fd N [--wires-fd N] [--pace wall|free] IMAGE
//
// --pace wall: a second of the chip lasts one of the wall clock. --pace free: as fast as it goes while
// there is something to do; while the processor sleeps, time passes at the pace of the wall all the same.
// It ends when the other end of the UART is closed.
//
// The library is looked for beside this file and in the folder of FLATSAT_NODE_MODULES.
//
// The UART hears octets at its own rate, whatever the line does. Not modelled by rp2040js: the rate and the
// FIFO of what it sends (a cable paces that), the time of the flash and of SPI; the second core sleeps.
import fs from 'node:fs';
import net from 'node:net';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Board } from './board.mjs';
import { Wires, KIND } from './wires.mjs';

const SLICE_NS = 1e6; // of the chip's time between two looks at the descriptors
const LEAST_NS = 1e3; // the shortest piece of time that is run at once
const LOOK_MS = 5; // at the wires while the processor sleeps

function options(words) {
  const found = { pace: 'wall', image: '' };
  for (let i = 0; i < words.length; i++) {
    if (words[i].startsWith('--')) found[words[i].slice(2)] = words[++i];
    else found.image = words[i];
  }
  return found;
}

async function library() {
  const folder = process.env.FLATSAT_NODE_MODULES;
  if (!folder) return import('rp2040js');
  const found = createRequire(path.join(folder, 'here.js')).resolve('rp2040js');
  return import(found);
}

const given = options(process.argv.slice(2));
const wires = new Wires(given['wires-fd']);
const board = new Board(await library(), fs.readFileSync(given.image, 'utf8'), wires);
const uart = new net.Socket({ fd: Number(given['uart-fd']) });
const waiting = []; // octets from the line that the FIFO has had no room for
let origin = { wall: process.hrtime.bigint(), ns: 0 };
let timer = null;
let immediate = null;

const wallNs = () => Number(process.hrtime.bigint() - origin.wall) + origin.ns;

function wake() {
  if (immediate === null) immediate = setImmediate(run);
}

function feed() {
  while (waiting.length && board.hear(waiting[0])) waiting.shift();
}

function send() {
  const octets = board.said();
  if (octets.length) uart.write(octets);
}

function obey() {
  for (let message = wires.poll(); message; message = wires.poll()) board.obey(message);
}

// Run until the chip's clock is the wall's, or sleep until its next alarm.
function run() {
  immediate = null;
  clearTimeout(timer);
  timer = null;
  obey();
  const end = Math.min(board.ns + SLICE_NS, given.pace === 'wall' ? wallNs() : Infinity);
  while (board.ns < end) {
    feed();
    const until = waiting.length ? Math.min(end, Math.max(board.nextHearNs, board.ns + LEAST_NS)) : end;
    if (!board.asleep) board.run(until);
    else if (waiting.length) board.sleepUntil(until);
    else break;
  }
  send();
  if (board.asleep && !waiting.length) rest();
  else if (given.pace === 'wall' && board.ns >= wallNs()) timer = setTimeout(run, 0);
  else wake();
}

// Nothing to do: let the time pass that has passed outside, and come back at the next alarm.
function rest() {
  if (given.pace !== 'wall') origin = { wall: process.hrtime.bigint(), ns: board.ns };
  const now = Math.max(wallNs(), board.ns);
  board.sleepUntil(now);
  if (!board.asleep) return wake();
  timer = setTimeout(resume, Math.min(LOOK_MS, Math.max(0, board.nextAlarmNs / 1e6)));
}

function resume() {
  board.sleepUntil(wallNs());
  run();
}

uart.on('data', (octets) => {
  if (board.asleep) board.sleepUntil(Math.max(wallNs(), board.ns));
  waiting.push(...octets);
  wake();
});
uart.on('close', () => process.exit(0));
uart.on('error', () => process.exit(0));
board.onRate = (baud) => wires.tell(KIND.RATE, board.cycles, Wires.u32(baud));
wake();
