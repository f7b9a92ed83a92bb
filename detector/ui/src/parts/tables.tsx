// Tables: one description of the columns, rows that `j` and `k` move through, and pages. On a narrow
// screen a row becomes a card; the roles are written out because that takes them from the elements.
import type { ComponentChildren, JSX } from "preact";
import { go, place, withQuery } from "../navigation";
import { count } from "../words/amounts";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  /** Numbers stand at the right, in tabular figures. */
  number?: boolean;
  /** Left out where the screen is narrow. */
  wide?: boolean;
  /** Takes what room is left and shortens its text. */
  grow?: boolean;
  /** Sorts by this key. */
  sort?: string;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string | number;
  sorted?: { by: string; down: boolean; onSort: (by: string) => void };
}

export function Table<T>({ label, columns, rows, rowKey, sorted }: Props<T>): JSX.Element {
  return (
    <div class="table-frame">
      <table class="table" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <Heading key={column.title} column={column} sorted={sorted} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={rowKey(row)} role="row" data-row tabIndex={-1}>
              {columns.map((column) => (
                <td
                  key={column.title}
                  role="cell"
                  class={classOf(column)}
                  data-label={column.title}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Heading<T>({ column, sorted }: { column: Column<T>; sorted: Props<T>["sorted"] }) {
  const { sort } = column;
  const active = sort !== undefined && sorted?.by === sort;
  const order = active ? (sorted.down ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" role="columnheader" class={classOf(column)} aria-sort={order}>
      {sort === undefined || sorted === undefined ? (
        column.title
      ) : (
        <button type="button" class="sort" onClick={() => sorted.onSort(sort)}>
          {column.title}
          <span aria-hidden="true">{active ? (sorted.down ? " ▾" : " ▴") : ""}</span>
        </button>
      )}
    </th>
  );
}

const classOf = <T,>({ number, wide, grow }: Column<T>): string =>
  [number === true && "number", wide === true && "wide", grow === true && "grow"]
    .filter(Boolean)
    .join(" ");

/** Pages of a list behind cursors. The way back is kept in the browser's history. */
export function Pager({
  next,
  shown,
  total,
  exact = true,
  limit,
}: {
  next: string | null;
  shown: number;
  total?: number;
  exact?: boolean;
  limit: number;
}): JSX.Element | null {
  const { trail, query } = place.value;
  const cursor = query.get("cursor");
  if (next === null && cursor === null) return null;
  const first = trail.length * limit;
  const onward = () =>
    next !== null && go(withQuery({ cursor: next }, true), { trail: [...trail, cursor ?? ""] });
  const back = () =>
    go(withQuery({ cursor: trail.at(-1) ?? null }, true), { trail: trail.slice(0, -1) });
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" class="button" disabled={cursor === null} onClick={back}>
        Newer
      </button>
      <span class="pager-place">
        {count(first + 1)}–{count(first + shown)}
        {total !== undefined && ` of ${exact ? "" : "at least "}${count(total)}`}
      </span>
      <button type="button" class="button" disabled={next === null} onClick={onward}>
        Older
      </button>
    </nav>
  );
}
