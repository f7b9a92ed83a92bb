export const HostPage = (_: Record<string, unknown>) => <h1>HostPage</h1>;
