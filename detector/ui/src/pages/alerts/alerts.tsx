export const Alerts = (_: Record<string, unknown>) => <h1>Alerts</h1>;
