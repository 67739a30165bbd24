/** A kernel that spins from its first instruction on: a guest that runs, and does nothing that anybody could see. */

const LOAD_ADDRESS = 0x100000;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

/** A 64-bit ELF with the PVH note by which QEMU enters it: it writes these words to the first serial port, then `jmp .`. */
export function spinningKernel(words = ""): Buffer {
  const note = Buffer.alloc(24);
  note.writeUInt32LE(4, 0);
  note.writeUInt32LE(8, 4);
  // XEN_ELFNOTE_PHYS32_ENTRY
  note.writeUInt32LE(18, 8);
  note.write("Xen\0", 12, "latin1");
  note.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 16);
  const headers = HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES;
  // In 32-bit mode: mov dx, 0x3f8; mov esi, words; mov ecx, length; rep outsb; jmp .
  const code = Buffer.from(
    `66baf803be00000000b900000000f36eebfe${Buffer.from(words).toString("hex")}`,
    "hex",
  );
  code.writeUInt32LE(LOAD_ADDRESS + 18, 5);
  code.writeUInt32LE(words.length, 10);

  const elf = Buffer.concat([Buffer.alloc(headers), note, code]);
  elf.write("\x7fELF", 0, "latin1");
  // 64 bits, little-endian, version 1
  elf.set([2, 1, 1], 4);
  // ET_EXEC for x86-64
  elf.writeUInt16LE(2, 16);
  elf.writeUInt16LE(62, 18);
  elf.writeUInt32LE(1, 20);
  elf.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 24);
  elf.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
  elf.writeUInt16LE(HEADER_BYTES, 52);
  elf.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  elf.writeUInt16LE(2, 56);
  programHeader(elf, HEADER_BYTES, { type: 1, offset: headers + note.length, bytes: code.length });
  programHeader(elf, HEADER_BYTES + PROGRAM_HEADER_BYTES, { type: 4, offset: headers, bytes: note.length });
  return elf;
}

function programHeader(elf: Buffer, at: number, part: { type: 1 | 4; offset: number; bytes: number }): void {
  const address = part.type === 1 ? LOAD_ADDRESS : 0;
  elf.writeUInt32LE(part.type, at);
  elf.writeUInt32LE(5, at + 4);
  const words = [part.offset, address, address, part.bytes, part.bytes, 4];
  words.forEach((word, i) => elf.writeBigUInt64LE(BigInt(word), at + 8 + 8 * i));
}
