/** The arrows of the house: which room may call which. The rooms are listed in docs/ARCHITECTURE.md. */
const may = (room, allowed) => ({
  name: `${room}-imports`,
  comment: `src/${room} may import only: ${["itself", "errors", "paths", ...allowed].join(", ")}`,
  severity: "error",
  from: { path: `^src/${room}/` },
  to: {
    path: "^src/",
    pathNot: [`^src/${room}/`, "^src/(errors|paths)\\.ts$", ...allowed.map((to) => `^src/${to}`)],
  },
});

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    may("rvf", []),
    may("qmp", []),
    may("client", []),
    may("appliance", []),
    may("resources", []),
    may("launcher", ["rvf/", "qmp/", "client/", "appliance/"]),
    may("provider", ["launcher/"]),
    may("cli", ["launcher/", "rvf/", "client/", "appliance/", "resources/"]),
    {
      name: "resource-is-light",
      comment: "what a Pulumi program imports pulls in nothing but @pulumi/pulumi",
      severity: "error",
      from: { path: "^src/(index\\.ts|errors\\.ts|resources/)" },
      to: { path: "node_modules", pathNot: "node_modules/@pulumi/pulumi" },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
    },
  },
};
