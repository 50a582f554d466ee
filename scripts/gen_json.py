#!/usr/bin/env python3
"""Writes a labelling tool's export of any size, the same for the same seed.

    python3 scripts/gen_json.py --format label-studio|coco --rows N --out FILE [--seed 7]

N counts annotations: regions and choices of Label Studio tasks, objects of a COCO dataset. Shapes
follow real exports: COCO writes polygons with two decimals, in an order that has nothing to do with
images, and one object in 70 is a crowd; Label Studio writes all members of its own exports, places
as the browser's floats, everything on one line. Needs Python 3.9 and nothing else.
"""
import argparse, json, random

LABELS = ["person", "car", "truck", "bicycle", "dog", "cat", "traffic light", "bus", "bench"]
WORDS = "a the red quick small label image street crossing under rain with two people and cars".split()


def ring(rng, cx, cy, r, points, digits):
    """A star-shaped polygon around a place, as x and y in turn."""
    out = []
    for i in range(points):
        # Corners of a square ring, pushed in and out: cheap, and no two alike.
        t, far = 4 * i / points, r * (0.5 + rng.random() / 2)
        x, y = [(t, 0), (1, t - 1), (3 - t, 1), (0, 4 - t)][int(t)]
        out += [round(cx + (x - 0.5) * far, digits), round(cy + (y - 0.5) * far, digits)]
    return out


def bounds(points):
    xs, ys = points[::2], points[1::2]
    return [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)]


def area(points):
    """The shoelace formula around the first point, as the tools compute it."""
    x0, y0, n, twice = points[0], points[1], len(points) // 2, 0.0
    for i in range(n):
        before, after = points[2 * ((i - 1) % n) + 1], points[2 * ((i + 1) % n) + 1]
        twice += (points[2 * i] - x0) * ((after - y0) - (before - y0))
    return abs(twice) / 2


def coco(rng, rows, out):
    images = max(1, rows // 7)
    out.write('{"info": {"year": 2026, "version": "1.0", "description": "generated"}, "licenses": '
              '[{"id": 3, "name": "CC BY", "url": "http://example.com/by"}], "images": [')
    ids = rng.sample(range(1, 10 * images + 10), images)
    for n, i in enumerate(ids):
        out.write((", " if n else "") + json.dumps({
            "license": 3, "file_name": f"{i:012}.jpg",
            "coco_url": f"http://images.example.com/val/{i:012}.jpg", "height": 480, "width": 640,
            "date_captured": "2013-11-%02d 16:28:24" % (1 + n % 28),
            "flickr_url": f"http://farm7.example.com/{i % 9999}/{i * 7919 % 10**10}_z.jpg",
            "id": i}))
    out.write('], "annotations": [')
    numbers = rng.sample(range(1, 10 * rows + 10), rows)
    for n, number in enumerate(numbers):
        image, category = rng.choice(ids), 1 + rng.randrange(len(LABELS))
        if n % 70 == 69:
            runs = [rng.randrange(1, 900) for _ in range(rng.randrange(20, 120))]
            runs.append(640 * 480 - sum(runs))
            shape, crowd = {"counts": runs, "size": [480, 640]}, 1
            size, box = sum(runs[1::2]), [rng.randrange(300), rng.randrange(200), 40, 60]
        else:
            points = [ring(rng, 80 + rng.random() * 480, 80 + rng.random() * 320,
                           20 + 100 * rng.random(), rng.randrange(8, 40), 2)
                      for _ in range(1 + (n % 11 == 10))]
            whole = [v for part in points for v in part]
            shape, crowd, size, box = points, 0, sum(map(area, points)), bounds(whole)
        out.write((", " if n else "") + json.dumps({
            "segmentation": shape, "area": size, "iscrowd": crowd, "image_id": image, "bbox": box,
            "category_id": category, "id": number}))
    categories = [{"supercategory": "thing", "id": i + 1, "name": label}
                  for i, label in enumerate(LABELS)]
    out.write('], "categories": ' + json.dumps(categories) + "}")


def result(rng, kind):
    """One result of an annotation."""
    if kind == "choices":
        choices = rng.sample(["day", "night", "rain", "snow"], 1 + (rng.random() < 0.2))
        return {"value": {"choices": choices}, "id": name(rng), "from_name": "scene",
                "to_name": "image", "type": kind, "origin": "manual"}
    label, x, y = rng.choice(LABELS), rng.random() * 70, rng.random() * 70
    if kind == "polygonlabels":
        flat = ring(rng, x + 15, y + 15, 20, rng.randrange(5, 16), 13)
        value = {"points": [list(p) for p in zip(flat[::2], flat[1::2])], "closed": True}
    else:
        value = {"x": x, "y": y, "width": rng.random() * 30, "height": rng.random() * 30,
                 "rotation": 0}
    value[kind] = [label]
    return {"original_width": 1280, "original_height": 720, "image_rotation": 0, "value": value,
            "id": name(rng), "from_name": "polygon" if kind == "polygonlabels" else "box",
            "to_name": "image", "type": kind, "origin": "manual"}


def name(rng):
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
                               k=10))


def unique(rng):
    h = f"{rng.getrandbits(128):032x}"
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def moment(rng):
    return "2026-%02d-%02dT%02d:%02d:%02d.%06dZ" % (
        rng.randrange(1, 13), rng.randrange(1, 29), rng.randrange(24), rng.randrange(60),
        rng.randrange(60), rng.randrange(10**6))


def label_studio(rng, rows, out):
    out.write("[")
    task = annotation = done = 0
    while done < rows:
        task += 1
        annotations = []
        for _ in range(rng.randrange(1, 4)):
            annotation += 1
            kinds = ["rectanglelabels"] * 5 + ["polygonlabels"] * 2
            results = [result(rng, rng.choice(kinds)) for _ in range(rng.randrange(0, 8))]
            results.append(result(rng, "choices"))
            done += len(results)
            person = rng.randrange(1, 13)
            annotations.append({
                "id": annotation, "completed_by": person, "result": results,
                "was_cancelled": False, "ground_truth": False, "created_at": moment(rng),
                "updated_at": moment(rng), "draft_created_at": moment(rng),
                "lead_time": round(rng.random() * 200, 3), "prediction": {},
                "result_count": len(results), "unique_id": unique(rng), "import_id": None,
                "last_action": None, "bulk_created": False, "task": task, "project": 4,
                "updated_by": person, "parent_prediction": None, "parent_annotation": None,
                "last_created_by": None})
        text = " ".join(rng.choices(WORDS, k=rng.randrange(8, 30)))
        out.write(("," if task > 1 else "") + json.dumps({
            "id": task, "annotations": annotations, "file_upload": None, "drafts": [],
            "predictions": [],
            "data": {"image": f"s3://pictures/street/{unique(rng)}.jpg", "text": text},
            "meta": {"camera": f"c-{task % 40}", "batch": task // 500}, "created_at": moment(rng),
            "updated_at": moment(rng), "allow_skip": True, "inner_id": task,
            "total_annotations": len(annotations), "cancelled_annotations": 0,
            "total_predictions": 0, "comment_count": 0, "unresolved_comment_count": 0,
            "last_comment_updated_at": None, "project": 4, "updated_by": annotations[-1][
                "completed_by"], "comment_authors": []}, separators=(",", ":")))
    out.write("]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--format", required=True, choices=["label-studio", "coco"])
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    with open(args.out, "w", encoding="utf-8") as out:
        make = coco if args.format == "coco" else label_studio
        make(random.Random(args.seed), args.rows, out)


if __name__ == "__main__":
    main()
