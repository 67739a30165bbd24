/** A real HTTP server in the place of a guest. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface Guest extends AsyncDisposable {
  url: string;
  /** What came in, as `METHOD path` or, for a POST, `METHOD path body`. */
  seen: string[];
}

async function serve(server: Server, seen: string[] = [], port = 0): Promise<Guest> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export type Answer = string | [status: number, body: string, headers?: Record<string, string>];

/** Answers by `METHOD path`; everything else is a 404, as from a server that lacks the path. */
export function guest(
  routes: Record<string, Answer | ((response: ServerResponse) => void)>,
  { fallback = [404, ""], port = 0 }: { fallback?: Answer; port?: number } = {},
): Promise<Guest> {
  const seen: string[] = [];
  const reply = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const route = `${request.method} ${request.url}`;
    seen.push(`${route} ${await text(request)}`.trimEnd());
    const answer = routes[route] ?? fallback;
    if (typeof answer === "function") return answer(response);
    const [status, body, headers] = typeof answer === "string" ? [200, answer, {}] : answer;
    response.writeHead(status, headers).end(body);
  };
  return serve(
    createServer((request, response) => void reply(request, response)),
    seen,
    port,
  );
}

/** A TCP peer that is no HTTP server. */
export function tcpGuest(onConnection: (socket: Socket) => void): Promise<Guest> {
  return serve(
    createTcpServer((socket) => {
      socket.on("error", () => undefined);
      onConnection(socket);
    }),
  );
}

/** The URL of a port on which nobody listens. */
export async function deadUrl(): Promise<string> {
  await using closed = await guest({});
  return closed.url;
}
