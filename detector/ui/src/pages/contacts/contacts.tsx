// Contacts, groups, rules, channels and messages.
import type { JSX } from "preact";
import { Lacking } from "../../parts/action";
import { PageHead } from "../../parts/panels";
import { Tabs, type Tab } from "../../parts/tabs";
import { Channels } from "./channels";
import { Groups } from "./groups";
import { Messages } from "./messages";
import { People } from "./people";
import { Rules } from "./rules";

const TABS: readonly [Tab, ...Tab[]] = [
  { name: "contacts", title: "Contacts", content: () => <People /> },
  { name: "groups", title: "Groups", content: () => <Groups /> },
  { name: "rules", title: "Rules", content: () => <Rules /> },
  { name: "channels", title: "Channels", content: () => <Channels /> },
  { name: "messages", title: "Messages", content: () => <Messages /> },
];

export function Contacts(): JSX.Element {
  return (
    <>
      <PageHead title="Contacts">
        <Lacking scope="admin" />
      </PageHead>
      <Tabs tabs={TABS} base="/contacts" />
    </>
  );
}
