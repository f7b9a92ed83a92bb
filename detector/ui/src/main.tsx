// Starts the pages.
import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/panels.css";
import "./styles/controls.css";
import "./styles/badges.css";
import "./styles/tables.css";
import "./styles/charts.css";
import "./styles/dialogs.css";
import "./styles/overview.css";
import "./styles/alerts.css";
import "./styles/tools.css";
import "./styles/others.css";
import { App } from "./app";
import { startTheme } from "./parts/theme";
import { startNavigation } from "./navigation";

startTheme();
startNavigation();
render(<App />, document.getElementById("app")!);
