export const Captures = (_: Record<string, unknown>) => <h1>Captures</h1>;
