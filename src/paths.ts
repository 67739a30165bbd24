/** Where state, cache and sockets live on this host. Read from the environment at each call, never at import. */
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";

function root(override: string, xdg: string, fallback: string): string {
  const own = process.env[override];
  if (own) return resolve(own);
  const base = process.env[xdg];
  // The XDG specification says that a relative path there is to be ignored.
  return join(base?.startsWith("/") ? base : join(homedir(), fallback), "microvm");
}

/** `$MICROVM_STATE_DIR`, else `$XDG_STATE_HOME/microvm`, else `~/.local/state/microvm`. */
const stateDir = (): string => root("MICROVM_STATE_DIR", "XDG_STATE_HOME", ".local/state");

/** `$MICROVM_CACHE_DIR`, else `$XDG_CACHE_HOME/microvm`, else `~/.cache/microvm`. */
export const cacheDir = (): string => root("MICROVM_CACHE_DIR", "XDG_CACHE_HOME", ".cache");

/** Extracted kernels and initramfs images, each under its SHA-256. */
export const kernelCacheDir = (): string => join(cacheDir(), "kernels");

/** One folder for each VM on this host. */
export const vmsDir = (): string => join(stateDir(), "vms");

/** Who boots VMs on this host now, and who waits to (boot-queue.ts). */
export const bootsDir = (): string => join(stateDir(), "boots");

/**
 * Holds a VM's sockets when its own folder's path is too long for one. The system's temporary folder, because
 * XDG_RUNTIME_DIR goes away at logout while VMs stay.
 */
export const shortSocketDir = (key: string): string => resolve(tmpdir(), `microvm-${key}`);
