// The pages: a row for each path. What stands behind the second slash is the page's subject.
import type { JSX } from "preact";
import { Alerts } from "./pages/alerts/alerts";
import { ApiDocs } from "./pages/apidocs/apidocs";
import { Captures } from "./pages/captures/captures";
import { Contacts } from "./pages/contacts/contacts";
import { Flows } from "./pages/flows";
import { HostPage } from "./pages/host";
import { Hosts } from "./pages/hosts";
import { Live } from "./pages/live/live";
import { ModelPage } from "./pages/model/model";
import { Overview } from "./pages/overview/overview";
import { RecordPage } from "./pages/record";
import { Response } from "./pages/response/response";
import { Settings } from "./pages/settings/settings";
import { Empty } from "./parts/panels";

interface Route {
  path: string;
  title: string;
  /** In the navigation, in this group. */
  group?: "Monitor" | "Respond" | "Investigate" | "Configure";
  page: () => JSX.Element;
  /** The page of one subject: `/alerts/ID`. */
  detail?: (subject: string) => JSX.Element;
}

export const ROUTES: Route[] = [
  { path: "/", title: "Overview", group: "Monitor", page: () => <Overview /> },
  {
    path: "/alerts",
    title: "Alerts",
    group: "Monitor",
    page: () => <Alerts selected={null} />,
    detail: (id) => <Alerts selected={id} />,
  },
  { path: "/live", title: "Live", group: "Monitor", page: () => <Live /> },
  { path: "/response", title: "Response", group: "Respond", page: () => <Response /> },
  { path: "/flows", title: "Flows", group: "Investigate", page: () => <Flows /> },
  {
    path: "/hosts",
    title: "Hosts",
    group: "Investigate",
    page: () => <Hosts />,
    detail: (address) => <HostPage key={address} address={address} />,
  },
  { path: "/captures", title: "Captures", group: "Investigate", page: () => <Captures /> },
  { path: "/record", title: "Check a record", group: "Investigate", page: () => <RecordPage /> },
  { path: "/model", title: "Model", group: "Configure", page: () => <ModelPage /> },
  { path: "/contacts", title: "Contacts", group: "Configure", page: () => <Contacts /> },
  { path: "/settings", title: "Settings and health", group: "Configure", page: () => <Settings /> },
  { path: "/api-docs", title: "API", group: "Configure", page: () => <ApiDocs /> },
];

export interface Matched {
  title: string;
  /** Stays the same while one moves between a list and its details. */
  base: string;
  page: JSX.Element;
}

export function match(pathname: string): Matched {
  const [, first = "", ...rest] = pathname.split("/");
  const route = ROUTES.find(({ path }) => path === `/${first}`);
  const subject = decoded(rest.join("/"));
  if (route !== undefined && subject === "") {
    return { title: route.title, base: route.path, page: route.page() };
  }
  if (route?.detail !== undefined && subject !== null) {
    return { title: `${subject} · ${route.title}`, base: route.path, page: route.detail(subject) };
  }
  return { title: "Not found", base: pathname, page: <NotFound /> };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function NotFound(): JSX.Element {
  return (
    <Empty title="Page not found">
      <p>
        Go back to the <a href="/">overview</a>, or search for an address, a name or an alert with{" "}
        <kbd>/</kbd>.
      </p>
    </Empty>
  );
}
