"""How many cells of the catalog have a price, and how many are what the vendors' figures come to: `python -m benchmarks.prices`.

A cell is a task, a resolution, sound or none, references or none, and a length. The figures, written by hand, are in
`tests/catalog/cells.py`.
"""

from __future__ import annotations

from collections import Counter

from tests.catalog.cells import FORMULAS, cells_of
from tests.catalog.test_cells import OFFERS, cost_of, micros


def main() -> None:
    """Print the counts, by endpoint and in all."""
    priced: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    without: Counter[str] = Counter()
    for offer in OFFERS:
        for cell in cells_of(offer):
            found, by_hand = cost_of(offer, cell), FORMULAS[offer.name](cell)
            if found is None:
                without[offer.endpoint] += 1
                continue
            priced[offer.endpoint] += 1
            exact[offer.endpoint] += by_hand is not None and found == (micros(by_hand[0]), micros(by_hand[1]))
    print("endpoint     priced    exact  without a price")
    for endpoint in (*sorted(priced), "all"):
        numbers = [
            count.total() if endpoint == "all" else count[endpoint] for count in (priced, exact, without)
        ]
        print(f"{endpoint:<10} {numbers[0]:>8} {numbers[1]:>8} {numbers[2]:>16}")


if __name__ == "__main__":
    main()
