// Values by name, of whatever shape the program answers: as a list, nested where they are.
import type { JSX } from "preact";

type Branch = Record<string, unknown>;

export function Tree({ value }: { value: Branch }): JSX.Element {
  return (
    <dl class="tree">
      {Object.entries(value).map(([name, one]) => {
        const inside = branch(one);
        return (
          <div key={name} class={inside === null ? "leaf" : "branch"}>
            <dt>{name.replaceAll("_", " ")}</dt>
            <dd>{inside === null ? <bdi>{leaf(one)}</bdi> : <Tree value={inside} />}</dd>
          </div>
        );
      })}
    </dl>
  );
}

/** What has names inside; a list of such is told by their own names, or their places. */
function branch(value: unknown): Branch | null {
  if (isBranch(value)) return value;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isBranch)) return null;
  return Object.fromEntries(value.map((one, at) => [String(one["name"] ?? at + 1), one]));
}

const isBranch = (value: unknown): value is Branch =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const tidy = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 4 });

function leaf(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return tidy.format(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value === "" ? "–" : value;
  if (!Array.isArray(value)) return JSON.stringify(value);
  if (value.length === 0) return "none";
  return value.map((one) => (typeof one === "object" ? JSON.stringify(one) : leaf(one))).join(", ");
}
