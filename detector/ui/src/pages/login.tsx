// Takes the one-time code out of a login link, or a token by hand. The code stands behind the `#`, so
// that it reaches no log; it is removed from the address bar before it is used.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Problem } from "../api/request";
import { asProblem } from "../api/resource";
import { login, scopes, session } from "../api/session";
import { go, path } from "../navigation";
import { Field } from "../parts/fields";
import { HowToLogin } from "../parts/help";

export function Login(): JSX.Element {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const enter = (secret: { code: string } | { token: string }) => {
    setBusy(true);
    setProblem(null);
    login(secret)
      .then(() => {
        if (path.value === "/login") go("/", { replace: true });
      })
      .catch((error: unknown) => setProblem(asProblem(error)))
      .finally(() => setBusy(false));
  };
  useEffect(() => {
    const code = takeCode();
    if (code !== null) enter({ code });
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    enter({ token: token.trim() });
  };
  return (
    <main class="gate">
      <div class="gate-card">
        <h1>
          <img src="/icon.svg" alt="" width="28" height="28" /> detector
        </h1>
        {problem !== null && (
          <p class="problem" role="alert">
            {problem.message} A login link works once. Create another with{" "}
            <code>detector token create</code>.
          </p>
        )}
        <HowToLogin here />
        <form onSubmit={submit}>
          <Field
            label="Token"
            name="token"
            type="password"
            value={token}
            onValue={setToken}
            problem={problem}
            required
          />
          <button type="submit" class="button primary" disabled={busy}>
            {busy ? "Logging in …" : "Log in"}
          </button>
          {session.value !== null && scopes.value.has("read") && (
            <a class="button" href="/">
              Continue without a login
            </a>
          )}
        </form>
      </div>
    </main>
  );
}

function takeCode(): string | null {
  const code = new URLSearchParams(window.location.hash.slice(1)).get("code");
  if (code !== null) window.history.replaceState(null, "", "/login");
  return code;
}
