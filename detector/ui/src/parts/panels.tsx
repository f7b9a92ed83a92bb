// What surrounds content: panels, empty places that teach, failures, and rows that hold the place
// of what is being loaded.
import type { ComponentChildren, JSX } from "preact";
import type { Resource } from "../api/resource";
import type { Problem } from "../api/request";

interface PanelProps {
  title: ComponentChildren;
  /** Beside the title. */
  aside?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
  id?: string;
}

export function Panel({ title, aside, children, class: extra = "", id }: PanelProps): JSX.Element {
  return (
    <section class={`panel ${extra}`} id={id}>
      <header class="panel-head">
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

export function PageHead({
  title,
  children,
}: {
  title: ComponentChildren;
  children?: ComponentChildren;
}) {
  return (
    <header class="page-head">
      <h1>{title}</h1>
      <div class="page-tools">{children}</div>
    </header>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      <div class="empty-text">{children}</div>
    </div>
  );
}

export function Failure({ problem, retry }: { problem: Problem; retry?: () => void }): JSX.Element {
  return (
    <div class="empty failure" role="alert">
      <p class="empty-title">{problem.title}</p>
      <p class="empty-text">
        <bdi>{problem.detail}</bdi>
      </p>
      {retry !== undefined && (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Waiting({ rows = 5 }: { rows?: number }): JSX.Element {
  return (
    <div class="waiting" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        <span key={row} class="waiting-row" />
      ))}
    </div>
  );
}

interface LoadedProps<T> {
  from: Resource<T>;
  /** How many rows to hold free at first. */
  rows?: number;
  children: (value: T) => ComponentChildren;
}

/** The content once it is there; what was there before stays, dimmed, while it is loaded again. */
export function Loaded<T>({ from, rows, children }: LoadedProps<T>): JSX.Element {
  const { value, problem, reload } = from;
  // While the program does not answer, the banner says so and what was last known stays.
  const unreachable = problem?.status === 0 && value !== null;
  if (problem !== null && !unreachable) return <Failure problem={problem} retry={reload} />;
  if (value === null) return <Waiting rows={rows} />;
  return <>{children(value)}</>;
}
