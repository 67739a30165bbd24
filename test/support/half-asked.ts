/** A client that takes its time. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A connection on which half a request was sent. */
export async function halfAsked(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("GET /v1/health HTTP/1.1\r\nhost: x\r\n");
  return socket;
}

export async function finish(socket: Socket): Promise<string> {
  socket.write("connection: close\r\n\r\n");
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}
