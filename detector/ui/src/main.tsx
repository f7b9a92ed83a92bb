// Starts the pages.
import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { App } from "./app";
import { startTheme } from "./parts/theme";
import { startNavigation } from "./navigation";

startTheme();
startNavigation();
render(<App />, document.getElementById("app")!);
