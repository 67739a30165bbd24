/** What a picture of a run shows: series by their names, each as its median. */
export type Chart = Bars | Curves;

interface Picture {
  /** Its file is `<benchmark>-<name>.svg`. */
  name: string;
  /** With the unit of what is drawn. */
  title: string;
}

/** Lying bars from zero on. */
export interface Bars extends Picture {
  kind: "bars";
  /** A bar of one series shows its spread too, one of several lays them end to end. */
  bars: { label: string; series: string[] }[];
  /** What the pieces of every bar are, in order, where there are several. */
  pieces?: string[];
}

/** Lines over a quantity; both axes are logarithmic, since what grows by tenfold steps is to be told apart at its small end too. */
export interface Curves extends Picture {
  kind: "curves";
  /** What x counts. */
  x: string;
  lines: { label: string; points: { x: number; series: string }[] }[];
}

/** A series that was measured; undefined where it was not, or failed. */
export type Lookup = (series: string) => { median: number; min: number; max: number } | undefined;
