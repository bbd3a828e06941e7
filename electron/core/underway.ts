/**
 * What is under way: comes and goes with every call. Not a plain `Set` or `Map`: the engine gives one that changes with every call a new
 * table every few dozen changes, chains the old tables to the new, and once one of them is old to the collector all that was ever in the
 * chain stays until the next full collection (11 KB a call; a tenth of the processor went into carrying it around).
 */

export interface Placed {
  /** Where it stands; of no concern but to `Underway`. */
  place: number;
}

/** A set in no order. */
export class Underway<Item extends Placed> implements Iterable<Item> {
  readonly #items: Item[] = [];

  add(item: Item): void {
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** `item` is in it. */
  delete(item: Item): void {
    const last = this.#items.pop()!;
    if (last === item) return;
    this.#items[item.place] = last;
    last.place = item.place;
  }

  /** Those in it now; they may go meanwhile. */
  [Symbol.iterator](): Iterator<Item> {
    return this.#items.slice().values();
  }
}

interface Box<Item> {
  item: Item | undefined;
}

/** Items by name, oldest first. A Map after all, but what is left in its old tables are names and empty boxes. */
export class Register<Item> {
  readonly #boxes = new Map<string, Box<Item>>();

  get size(): number {
    return this.#boxes.size;
  }

  get(name: string): Item | undefined {
    return this.#boxes.get(name)?.item;
  }

  set(name: string, item: Item): void {
    const box = this.#boxes.get(name);
    if (box === undefined) this.#boxes.set(name, { item });
    else box.item = item;
  }

  delete(name: string): void {
    const box = this.#boxes.get(name);
    if (box === undefined) return;
    box.item = undefined;
    this.#boxes.delete(name);
  }

  values(): Item[] {
    return Array.from(this.#boxes.values(), ({ item }) => item!);
  }
}
