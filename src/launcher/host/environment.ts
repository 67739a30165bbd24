/** What QEMU may see of our environment, asked what it can do as well as running a VM: that takes long, and its environment can be read. */

/** Where its files are, how it says what it has to say, and where an installation of one's own has libraries and modules. */
const inherited = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "QEMU_MODULE_DIR"];

/** For execa; these alone. */
export const qemuEnvironment = () => ({
  env: Object.fromEntries(inherited.map((key) => [key, process.env[key]])),
  extendEnv: false,
});
