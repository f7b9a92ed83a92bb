// The gate: who has no right to read sees the login, everybody else the pages.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { startEvents } from "./api/events";
import type { Problem } from "./api/request";
import { asProblem } from "./api/resource";
import { loadSession, scopes, session } from "./api/session";
import { path } from "./navigation";
import { Login } from "./pages/login";
import { Failure } from "./parts/panels";
import { Shell } from "./shell";

export function App(): JSX.Element | null {
  const [problem, setProblem] = useState<Problem | null>(null);
  const load = () => {
    setProblem(null);
    loadSession().catch((error: unknown) => setProblem(asProblem(error)));
  };
  useEffect(load, []);
  const reading = scopes.value.has("read");
  useEffect(() => {
    if (reading) startEvents();
  }, [reading]);
  if (problem !== null)
    return (
      <main class="gate">
        <Failure problem={problem} retry={load} />
      </main>
    );
  if (session.value === null) return null;
  if (path.value === "/login" || !reading) return <Login />;
  return <Shell />;
}
