// Prints every message of a capture as the official TypeScript library reads it, as JSON lines:
// node mcap_typescript.mjs FILE, with NODE_PATH-like $LIBRARY where its packages are installed.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.LIBRARY, "here.js"));
const { McapIndexedReader } = require("@mcap/core");
const { decompress } = require("fzstd");

const file = fs.openSync(process.argv[2]);
const size = BigInt(fs.fstatSync(file).size);
const readable = {
  size: async () => size,
  read: async (at, nbytes) => {
    const octets = new Uint8Array(Number(nbytes));
    fs.readSync(file, octets, 0, Number(nbytes), Number(at));
    return octets;
  },
};
const decompressHandlers = { zstd: (octets) => decompress(octets) };
const reader = await McapIndexedReader.Initialize({ readable, decompressHandlers });
const lines = [];
for await (const message of reader.readMessages()) {
  const channel = reader.channelsById.get(message.channelId);
  lines.push(
    JSON.stringify([
      channel.topic,
      message.sequence,
      message.logTime.toString(),
      message.publishTime.toString(),
      Buffer.from(message.data).toString("hex"),
    ]),
  );
}
process.stdout.write(lines.map((line) => line + "\n").join(""));
if (reader.statistics.messageCount !== BigInt(lines.length)) process.exit(1);
