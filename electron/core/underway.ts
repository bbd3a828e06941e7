/**
 * What is under way: comes and goes with every call. Neither a `Set` nor a `Map`: the engine gives one that changes with every call a new
 * table every few dozen changes, the old tables are chained to the new ones, and from the moment one of them is old to the collector all that
 * was ever in the chain stays until the next full collection (11 KB a call; a tenth of the processor went into carrying it around).
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

/** Items by name, in the order in which they came. Names are not those of array indexes. */
export class Register<Item> {
  readonly #items: Record<string, Item> = Object.create(null);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(name: string): Item | undefined {
    return this.#items[name];
  }

  set(name: string, item: Item): void {
    if (!(name in this.#items)) this.#size++;
    this.#items[name] = item;
  }

  delete(name: string): void {
    if (name in this.#items) this.#size--;
    delete this.#items[name];
  }

  values(): Item[] {
    return Object.values(this.#items);
  }
}
