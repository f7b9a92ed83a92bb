export const Hosts = (_: Record<string, unknown>) => <h1>Hosts</h1>;
