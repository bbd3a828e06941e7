/** JSON text of what goes to many connections: of equal `keyOf` it is made once; null: of this message each time. */
export function createEncoder<Message extends object>(keyOf: (message: Message) => object | null): (message: Message) => string {
  const encoded = new WeakMap<object, string>();
  return (message) => {
    const key = keyOf(message);
    if (key === null) return JSON.stringify(message);
    const known = encoded.get(key);
    if (known !== undefined) return known;
    const text = JSON.stringify(message);
    encoded.set(key, text);
    return text;
  };
}
