/** The real process that runs dynamic providers, started and called as Pulumi's engine does it, without the engine. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { IResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import messages, { type CheckRequest } from "@pulumi/pulumi/proto/provider_pb.js";
import statuses from "@pulumi/pulumi/proto/status_pb.js";
import type { Inputs, State } from "../../src/provider/inputs.js";
import { providerText } from "../../src/resources/constants.js";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(import.meta.url);
// Client and messages must be of the very copies that the SDK uses.
const ofSdk = createRequire(require.resolve("@pulumi/pulumi"));

type Struct = NonNullable<ReturnType<CheckRequest["getNews"]>>;
const { Struct } = ofSdk("google-protobuf/google/protobuf/struct_pb.js") as {
  Struct: { fromJavaScript(value: object): Struct };
};
const grpc = ofSdk("@grpc/grpc-js") as { credentials: { createInsecure(): unknown } };
const { ResourceProviderClient } = ofSdk("@pulumi/pulumi/proto/provider_grpc_pb.js") as {
  ResourceProviderClient: new (
    address: string,
    credentials: unknown,
  ) => IResourceProviderClient & {
    close(): void;
  };
};

/** Longer than any operation may take, short enough to fail a test by itself. */
const callTimeoutMs = 150_000;

type Operation = "configure" | "check" | "diff" | "create" | "read" | "update" | "delete";
type Callback = (error: Error | null, response: unknown) => void;

export interface Plugin extends AsyncDisposable {
  pid: number;
  check(
    news: object,
    olds?: object,
  ): Promise<{ inputs: Inputs; failures: { property: string; reason: string }[] }>;
  /** Whether the answer is that something changed. */
  diff(id: string, olds: State, news: object): Promise<boolean>;
  create(inputs: object): Promise<{ id: string; outs: State }>;
  /** An empty `id`: the resource is gone. Inputs come where they are to be others from now on. */
  read(id: string, props: object): Promise<{ id: string; props: Partial<State>; inputs?: Inputs }>;
  update(id: string, olds: State, news: object): Promise<State>;
  delete(id: string, outs: object): Promise<void>;
  /** Everything written to stdout and stderr after the first line. */
  output(): string;
  /** Signals the whole process group, as the engine does. */
  signal(name: NodeJS.Signals): void;
  /** Resolves when nobody holds the stdout of the plugin open any more. */
  stdoutEnd: Promise<unknown>;
  exit: Promise<unknown>;
}

export interface PluginOptions {
  env?: Record<string, string>;
  /** Starts the plugin below a process that can be killed like an engine, whose pid is then `enginePid`. */
  underEngine?: boolean;
}

/** Adds what the constructor adds to a program's inputs. */
export const asSent = (args: object, resource = "db"): object => ({
  ...args,
  owner: { project: "project", stack: "stack", resource },
  __provider: providerText,
});

export async function startPlugin({ env = {}, underEngine = false }: PluginOptions = {}): Promise<Plugin> {
  const argv = [process.execPath, require.resolve("@pulumi/pulumi/cmd/dynamic-provider"), "127.0.0.1:1"];
  // A shell that waits, like the script by which the SDK starts the plugin.
  const [command, ...args] = underEngine ? ["/bin/sh", "-c", '"$@"; :', "sh", ...argv] : argv;
  const child = spawn(command!, args, {
    cwd: repository,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", PULUMI_NODEJS_PROJECT: "project", ...env },
  });
  const exit = once(child, "exit");
  const stdoutEnd = once(child.stdout, "close");
  const lines: string[] = [];
  const stdout = createInterface(child.stdout);
  createInterface(child.stderr).on("line", (line) => lines.push(line));
  const [port] = (await once(stdout, "line")) as [string];
  stdout.on("line", (line) => lines.push(line));

  const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const call = <Response>(name: Operation, request: unknown): Promise<Response> =>
    new Promise((resolve, reject) => {
      const method = client[name].bind(client) as (r: unknown, o: object, done: Callback) => void;
      method(request, { deadline: Date.now() + callTimeoutMs }, (error, response) =>
        error ? reject(error) : resolve(response as Response),
      );
    });

  await call("configure", new messages.ConfigureRequest().setArgs(struct({})));
  return {
    pid: child.pid!,
    exit,
    stdoutEnd,
    output: () => lines.join("\n"),
    signal: (name) => process.kill(-child.pid!, name),
    check: async (news, olds = {}) => {
      const request = new messages.CheckRequest().setNews(struct(news)).setOlds(struct(olds));
      const response = await call<InstanceType<typeof messages.CheckResponse>>("check", request);
      return {
        inputs: plain(response.getInputs()) as unknown as Inputs,
        failures: response
          .getFailuresList()
          .map((f) => ({ property: f.getProperty(), reason: f.getReason() })),
      };
    },
    diff: async (id, olds, news) => {
      const request = new messages.DiffRequest().setId(id).setOlds(struct(olds)).setNews(struct(news));
      const response = await call<InstanceType<typeof messages.DiffResponse>>("diff", request);
      expect(response.getReplacesList()).toEqual([]);
      const { DIFF_UNKNOWN, DIFF_SOME } = messages.DiffResponse.DiffChanges;
      expect(response.getChanges()).not.toBe(DIFF_UNKNOWN);
      return response.getChanges() === DIFF_SOME;
    },
    create: async (inputs) => {
      const request = new messages.CreateRequest().setProperties(struct(inputs));
      const response = await call<InstanceType<typeof messages.CreateResponse>>("create", request);
      return { id: response.getId(), outs: plain(response.getProperties()) as unknown as State };
    },
    read: async (id, props) => {
      const request = new messages.ReadRequest().setId(id).setProperties(struct(props));
      const response = await call<InstanceType<typeof messages.ReadResponse>>("read", request);
      const inputs = response.getInputs();
      return {
        id: response.getId(),
        props: plain(response.getProperties()),
        ...(inputs && { inputs: plain(inputs) as unknown as Inputs }),
      };
    },
    update: async (id, olds, news) => {
      const request = new messages.UpdateRequest().setId(id).setOlds(struct(olds)).setNews(struct(news));
      const response = await call<InstanceType<typeof messages.UpdateResponse>>("update", request);
      return plain(response.getProperties()) as unknown as State;
    },
    delete: async (id, outs) => {
      await call("delete", new messages.DeleteRequest().setId(id).setProperties(struct(outs)));
    },
    [Symbol.asyncDispose]: async () => {
      client.close();
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch {
        // It has ended already.
      }
      await exit;
    },
  };
}

export interface InitFailure {
  id: string;
  properties: State;
  reasons: string[];
}

/** What the engine takes out of the error of a create or update that left a resource; undefined where it left none. */
export function initFailureOf(error: unknown): InitFailure | undefined {
  const { metadata } = error as { metadata: { get(key: string): Buffer[] } };
  const [bytes] = metadata.get("grpc-status-details-bin");
  const detail = bytes && statuses.Status.deserializeBinary(bytes).getDetailsList()[0];
  if (!detail) return undefined;
  const failure = messages.ErrorResourceInitFailed.deserializeBinary(detail.getValue_asU8());
  return {
    id: failure.getId(),
    properties: plain(failure.getProperties()) as unknown as State,
    reasons: failure.getReasonsList(),
  };
}

const struct = (value: object): Struct => Struct.fromJavaScript(value);

const plain = (value: Struct | undefined): Record<string, unknown> => value?.toJavaScript() ?? {};
