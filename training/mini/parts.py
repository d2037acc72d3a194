"""What the larger families of code tasks are combined from: units, shapes, records, and nouns with three fields."""

UNITS = (
    ("celsius", "fahrenheit", "celsius * 9 / 5 + 32"), ("fahrenheit", "celsius", "(fahrenheit - 32) * 5 / 9"),
    ("celsius", "kelvin", "celsius + 273.15"), ("kelvin", "celsius", "kelvin - 273.15"), ("kilometers", "miles", "kilometers / 1.609344"),
    ("miles", "kilometers", "miles * 1.609344"), ("meters", "feet", "meters / 0.3048"), ("feet", "meters", "feet * 0.3048"),
    ("inches", "centimeters", "inches * 2.54"), ("centimeters", "inches", "centimeters / 2.54"), ("pounds", "kilograms", "pounds * 0.45359237"),
    ("kilograms", "pounds", "kilograms / 0.45359237"), ("hours", "minutes", "hours * 60"), ("minutes", "seconds", "minutes * 60"),
    ("days", "hours", "days * 24"), ("hours", "seconds", "hours * 3600"), ("weeks", "days", "weeks * 7"), ("minutes", "hours", "minutes / 60"),
    ("degrees", "radians", "degrees * 3.141592653589793 / 180"), ("radians", "degrees", "radians * 180 / 3.141592653589793"),
    ("liters", "gallons", "liters / 3.785411784"), ("gallons", "liters", "gallons * 3.785411784"),
    ("fahrenheit", "kelvin", "(fahrenheit - 32) * 5 / 9 + 273.15"), ("kelvin", "fahrenheit", "(kelvin - 273.15) * 9 / 5 + 32"), ("seconds", "minutes", "seconds / 60"), ("seconds", "hours", "seconds / 3600"), ("hours", "days", "hours / 24"), ("days", "weeks", "days / 7"), ("days", "minutes", "days * 1440"), ("years", "months", "years * 12"),
    ("months", "years", "months / 12"), ("meters", "kilometers", "meters / 1000"), ("kilometers", "meters", "kilometers * 1000"), ("meters", "centimeters", "meters * 100"), ("centimeters", "meters", "centimeters / 100"), ("millimeters", "inches", "millimeters / 25.4"), ("feet", "inches", "feet * 12"), ("inches", "feet", "inches / 12"), ("yards", "meters", "yards * 0.9144"), ("meters", "yards", "meters / 0.9144"),
    ("grams", "kilograms", "grams / 1000"), ("kilograms", "grams", "kilograms * 1000"), ("ounces", "grams", "ounces * 28.349523125"), ("grams", "ounces", "grams / 28.349523125"), ("liters", "milliliters", "liters * 1000"), ("milliliters", "liters", "milliliters / 1000"), ("bytes", "kilobytes", "bytes / 1024"), ("kilobytes", "bytes", "kilobytes * 1024"), ("joules", "calories", "joules / 4.184"), ("calories", "joules", "calories * 4.184"),
)  # fmt: skip
_PI = "3.141592653589793"
SHAPES = (
    ("area", "rectangle", "width, height", "width * height"), ("perimeter", "rectangle", "width, height", "2 * (width + height)"),
    ("area", "square", "side", "side * side"), ("perimeter", "square", "side", "4 * side"), ("area", "circle", "radius", f"{_PI} * radius ** 2"),
    ("circumference", "circle", "radius", f"2 * {_PI} * radius"), ("area", "triangle", "base, height", "base * height / 2"),
    ("perimeter", "triangle", "a, b, c", "a + b + c"), ("area", "trapezoid", "a, b, height", "(a + b) / 2 * height"), ("volume", "cube", "side", "side ** 3"),
    ("surface", "cube", "side", "6 * side ** 2"), ("volume", "sphere", "radius", f"4 / 3 * {_PI} * radius ** 3"), ("surface", "sphere", "radius", f"4 * {_PI} * radius ** 2"),
    ("volume", "cylinder", "radius, height", f"{_PI} * radius ** 2 * height"), ("volume", "cone", "radius, height", f"{_PI} * radius ** 2 * height / 3"),
    ("volume", "box", "width, height, depth", "width * height * depth"), ("diagonal", "rectangle", "width, height", "(width ** 2 + height ** 2) ** 0.5"),
    ("hypotenuse", "right triangle", "a, b", "(a * a + b * b) ** 0.5"),
)  # fmt: skip
NOUNS = (
    ("Book", "title", "author", "pages"), ("Person", "name", "email", "age"), ("Car", "make", "model", "year"), ("Student", "name", "subject", "grade"), ("Product", "name", "category", "price"),
    ("Movie", "title", "director", "year"), ("Song", "title", "artist", "length"), ("Employee", "name", "role", "salary"), ("City", "name", "country", "population"), ("Point", "x", "y", "z"),
    ("Rectangle", "color", "width", "height"), ("Planet", "name", "color", "radius"), ("Recipe", "name", "author", "minutes"), ("Ticket", "event", "seat", "price"), ("Dog", "name", "breed", "age"),
    ("Lamp", "color", "brand", "watts"), ("House", "street", "city", "rooms"), ("Team", "name", "coach", "points"), ("Game", "title", "genre", "players"), ("Phone", "brand", "model", "memory"),
    ("Computer", "brand", "model", "price"), ("Teacher", "name", "subject", "age"), ("Doctor", "name", "field", "age"), ("Patient", "name", "illness", "age"), ("Customer", "name", "email", "orders"),
    ("Invoice", "number", "customer", "amount"), ("Order", "number", "product", "quantity"), ("Country", "name", "capital", "population"), ("River", "name", "country", "length"), ("Mountain", "name", "country", "height"),
    ("Lake", "name", "country", "depth"), ("School", "name", "city", "pupils"), ("Course", "title", "teacher", "hours"), ("Room", "number", "floor", "seats"), ("Hotel", "name", "city", "rooms"),
    ("Flight", "number", "airline", "seats"), ("Train", "number", "line", "cars"), ("Bus", "line", "driver", "seats"), ("Ship", "name", "harbor", "length"), ("Cat", "name", "color", "age"),
    ("Bird", "name", "species", "weight"), ("Horse", "name", "breed", "age"), ("Tree", "species", "place", "height"), ("Flower", "name", "color", "petals"), ("Fruit", "name", "color", "weight"),
    ("Drink", "name", "flavor", "volume"), ("Meal", "name", "cook", "calories"), ("Shirt", "color", "brand", "size"), ("Shoe", "brand", "color", "size"), ("Watch", "brand", "model", "price"),
    ("Camera", "brand", "model", "zoom"), ("Chair", "color", "material", "height"), ("Table", "material", "shape", "width"), ("Photo", "title", "artist", "width"), ("Painting", "title", "painter", "year"),
    ("Poem", "title", "poet", "lines"), ("Article", "title", "author", "words"), ("Email", "sender", "subject", "size"), ("Message", "sender", "text", "time"), ("Event", "name", "place", "guests"),
    ("Concert", "band", "place", "seats"), ("Album", "title", "band", "songs"), ("Actor", "name", "country", "films"), ("Athlete", "name", "sport", "medals"), ("Player", "name", "team", "goals"),
    ("Club", "name", "city", "members"), ("Museum", "name", "city", "rooms"), ("Bridge", "name", "river", "length"), ("Star", "name", "color", "mass"), ("Coin", "country", "metal", "value"),
    ("Stamp", "country", "motif", "value"),
)  # fmt: skip
FIELDS = (
    "price",
    "age",
    "score",
    "weight",
    "quantity",
    "salary",
    "points",
    "height",
    "rating",
    "distance",
    "stock",
    "year",
    "length",
)
RECORD_ACTIONS = (
    ("total", "returns the sum of the {f} of a list of dictionaries", 'return sum(record["{f}"] for record in records)'),
    ("average", "computes the average {f} of a list of dictionaries", 'return sum(record["{f}"] for record in records) / len(records)'),
    ("highest", "returns the dictionary with the highest {f}", 'return max(records, key=lambda record: record["{f}"])'),
    ("lowest", "returns the dictionary with the lowest {f}", 'return min(records, key=lambda record: record["{f}"])'),
    ("sort_by", "sorts a list of dictionaries by {f}", 'return sorted(records, key=lambda record: record["{f}"])'),
    ("group_by", "groups a list of dictionaries by {f}", 'groups = {{}}\n    for record in records:\n        groups.setdefault(record["{f}"], []).append(record)\n    return groups'),
    ("collect", "returns a list of the {f} of every dictionary in a list", 'return [record["{f}"] for record in records]'),
)  # fmt: skip
