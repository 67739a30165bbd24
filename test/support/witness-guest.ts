/**
 * A guest that serves its store as usual and beside that tells everybody who connects to its port 2222 (`sshPort`) what it holds for
 * random, when it believes it is, and its boot id, which Linux draws when it is first asked for.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { writeInitramfsWith } from "./beside-init.js";

export interface Testimony {
  /** 16 bytes of getrandom(2), in hexadecimal. */
  random: string;
  /** By the guest's clock, in milliseconds since 1970. */
  time: number;
  bootId: string;
}

export const writeWitnessInitramfs = (path: string): Promise<void> =>
  writeInitramfsWith(path, code, [
    [0x400250, "/proc/sys/kernel/random/boot_id"],
    // struct sockaddr_in: AF_INET, port 2222, any address
    [0x400270, Buffer.from("020008ae00000000", "hex")],
  ]);

/** What the guest behind the port of this host says. */
export async function askWitness(port: number): Promise<Testimony> {
  const connection = connect(port, "127.0.0.1");
  await once(connection, "connect");
  const said = await buffer(connection);
  const [seconds, nanoseconds] = [said.readBigInt64LE(16), said.readBigInt64LE(24)];
  return {
    random: said.toString("hex", 0, 16),
    time: Number(seconds) * 1000 + Number(nanoseconds) / 1e6,
    bootId: said.toString("latin1", 32, 68),
  };
}

const code = `
  b839000000 0f05 85c0 7413          #         fork(); the child goes to "child"
  b83b000000 bf00024000 be40024000   #         execve("/served", ["/served"], [])
  31d2 0f05
  b829000000 bf02000000 be01000000   # child:  r12 = socket(AF_INET, SOCK_STREAM, 0)
  31d2 0f05 4189c4
  b831000000 4489e7 be70024000       #         bind(r12, address, 16)
  ba10000000 0f05
  b832000000 4489e7 be10000000 0f05  #         listen(r12, 16)
  b82b000000 4489e7 31f6 31d2 0f05   # accept: r13 = accept(r12, NULL, NULL)
  4189c5
  b83e010000 bf80024000 be10000000   #         getrandom(said, 16, 0)
  31d2 0f05
  b8e4000000 31ff be90024000 0f05    #         clock_gettime(CLOCK_REALTIME, said + 16)
  b802000000 bf50024000 31f6 0f05    #         r14 = open(boot id, O_RDONLY)
  4189c6
  31c0 4489f7 bea0024000 ba24000000  #         read(r14, said + 32, 36)
  0f05
  b803000000 4489f7 0f05             #         close(r14)
  b801000000 4489ef be80024000       #         write(r13, said, 68)
  ba44000000 0f05
  b803000000 4489ef 0f05             #         close(r13), then to "accept"
  eb82
`;
