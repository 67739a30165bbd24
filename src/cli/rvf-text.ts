/** An RVF's report as text for a person. */
import type { IntegrityReport, KernelReport, RvfReport, SegmentReport } from "../rvf/index.js";
import { fields } from "./output.js";

export function describeRvf({
  size,
  segments,
  store,
  kernel,
  integrity,
  error,
  warnings,
}: RvfReport): string {
  return [
    fields([
      ["vectors", `${store.vectors} of dimension ${store.dimension} (${store.metric})`],
      ["epoch", store.epoch],
      ["size", `${size} bytes`],
      ["segments", describeSegments(segments)],
      ...(kernel ? describeKernel(kernel) : []),
      ["kernel", kernel ? undefined : (error?.message ?? "none")],
      ...(integrity ? describeIntegrity(integrity) : []),
    ]),
    ...warnings.map((warning) => `warning: ${warning}`),
  ].join("\n");
}

function describeSegments(segments: SegmentReport[]): string {
  const counts = new Map<string, number>();
  for (const { type } of segments) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].map(([type, count]) => `${count} ${type}`).join(", ");
}

/** Characters that a terminal acts upon or does not show: a file from elsewhere must not draw on it. */
const unseen = /[\p{Cc}\p{Cf}]/gu;
const escaped = (character: string): string => `\\u{${character.codePointAt(0)?.toString(16)}}`;

type Field = [label: string, value: string | number | undefined];

function describeKernel(kernel: KernelReport): Field[] {
  const { image, header, initramfs, binding } = kernel;
  const packed = kernel.compression === "none" ? "" : `, ${kernel.compression}`;
  return [
    ["kernel", `${image.kind}, ${image.size} bytes, segment ${kernel.segmentId}, ${kernel.layout}${packed}`],
    ["type", header.type],
    ["arch", image.arch === header.arch ? image.arch : `${image.arch} (the header says ${header.arch})`],
    ["sha256", image.sha256],
    ["initramfs", initramfs ? `${initramfs.size} bytes, ${initramfs.format}` : "none"],
    ["cmdline", kernel.cmdline.replace(unseen, escaped) || "(none)"],
    ["flags", header.flags.join(", ")],
    ["API", header.apiPort ? `${header.apiTransport}, guest port ${header.apiPort}` : undefined],
    ["asks for", wishes(header)],
    ["binding", binding ? `version ${binding.version}` : undefined],
  ];
}

function wishes({ minMemoryMb, vcpus }: KernelReport["header"]): string | undefined {
  const found = [minMemoryMb ? `${minMemoryMb} MiB` : "", vcpus ? `${vcpus} vCPUs` : ""].filter(Boolean);
  return found.length > 0 ? found.join(", ") : undefined;
}

const describeIntegrity = ({ verdict, segment, image, signature }: IntegrityReport): Field[] => [
  ["integrity", `${verdict} (segment hash: ${segment}; image hash: ${image}; signature: ${signature})`],
];
