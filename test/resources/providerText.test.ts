import { createContext, Script, SyntheticModule } from "node:vm";
import { providerText, typeToken } from "../../src/resources/constants.js";

test("the texts that stand in users' states are these, for ever", () => {
  expect(typeToken).toBe("pulumi-nodejs:dynamic/microvm:MicroVm");
  expect(providerText).toBe(
    'const p=()=>import("pulumi-microvm/provider");exports.handler=()=>({' +
      "check:async(...a)=>(await p()).check(...a)," +
      "diff:async(...a)=>(await p()).diff(...a)," +
      "create:async(...a)=>(await p()).create(...a)," +
      "read:async(...a)=>(await p()).read(...a)," +
      "update:async(...a)=>(await p()).update(...a)," +
      "delete:async(...a)=>(await p()).remove(...a)})",
  );
});

type Handler = Record<string, (...args: unknown[]) => Promise<unknown>>;

/** Runs the text where nothing but `exports` exists, with a package that tells which of its functions was called. */
function evaluate(imports: string[]): Handler {
  const names = ["check", "diff", "create", "read", "update", "remove"];
  const context = createContext({ exports: {} as { handler?: () => Handler } });
  const script = new Script(providerText, {
    importModuleDynamically: (async (specifier: string) => {
      imports.push(specifier);
      const provider = new SyntheticModule(
        names,
        function () {
          names.forEach((name) => this.setExport(name, (...args: unknown[]) => [name, ...args]));
        },
        { context },
      );
      await provider.link(() => Promise.reject(new Error("it imports nothing")));
      await provider.evaluate();
      return provider;
    }) as unknown as undefined,
  });
  script.runInContext(context);
  return (context["exports"] as { handler: () => Handler }).handler();
}

test("the text captures nothing and hands each call on to the installed package", async () => {
  const imports: string[] = [];
  const handler = evaluate(imports);
  expect(Object.keys(handler)).toEqual(["check", "diff", "create", "read", "update", "delete"]);
  expect(imports).toEqual([]);

  for (const [method, call] of Object.entries(handler)) {
    const expected = method === "delete" ? "remove" : method;
    expect(await call("id", { old: 1 }, { new: 2 })).toEqual([expected, "id", { old: 1 }, { new: 2 }]);
  }
  expect(new Set(imports)).toEqual(new Set(["pulumi-microvm/provider"]));
});
