/** A scripted monitor on a real unix socket, for the faults that a real QEMU does not show on request. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** As QEMU 7.2 on Debian 12 sends it. */
export const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}\r\n';

export interface Request {
  execute: string;
  arguments: unknown;
  id: number;
}

export interface Peer extends AsyncDisposable {
  path: string;
}

/**
 * Listens and hands each connection to `serve`. Disposing it drops every connection and the socket's folder.
 */
export async function listen(serve: (socket: Socket) => void): Promise<Peer> {
  const folder = await mkdtemp(join(tmpdir(), "qmp-peer-"));
  const path = join(folder, "s");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

/** Reads the client's commands. */
export function readRequests(socket: Socket, onRequest: (request: Request) => void): void {
  createInterface({ input: socket }).on("line", (line) => onRequest(JSON.parse(line) as Request));
}

/** Greets, accepts qmp_capabilities, and leaves every later command to `answer`. */
export function monitor(answer: (request: Request, socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    socket.write(GREETING);
    readRequests(socket, (request) => {
      if (request.execute === "qmp_capabilities") socket.write(reply(request, {}));
      else answer(request, socket);
    });
  };
}

export const reply = ({ id }: Request, value: unknown): string =>
  `${JSON.stringify({ return: value, id })}\r\n`;

export const event = (name: string, data = {}): string => `${JSON.stringify({ event: name, data })}\r\n`;
