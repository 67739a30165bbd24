/** What a part of the set-up gives to the programs that use it. */
export interface Part {
  /** For a person: found or made, version, place. */
  summary: string;
  /** Folders to put in front of PATH. */
  path?: string[];
  /** Environment variables that say where the part is. */
  env?: Record<string, string>;
}
