export const Settings = (_: Record<string, unknown>) => <h1>Settings</h1>;
