export const Contacts = (_: Record<string, unknown>) => <h1>Contacts</h1>;
