"""Has two people answer the tasks of a relabelling in a running Label Studio, through its API alone.

    label_studio_round.py URL TOKEN CONFIG.xml TASKS.json OUT

Writes to OUT what the server gave: project.json, import.json, tasks.json (as it holds them),
half.json and answers.json (its JSON export once the first has answered, and at the end).
Only the standard library is needed. Who answers what is fixed, so that expected figures can be
counted by hand: see `answer`.
"""

import html.parser
import http.cookiejar
import json
import pathlib
import sys
import urllib.parse
import urllib.request

PASSWORD = "Passw0rd!x"
CITIES = {"Paris"}


class Server:
    """One person's way to the server: by token, or by a session in the browser's manner."""

    def __init__(self, url, token=None):
        self.url, self.token = url, token
        self.jar = http.cookiejar.CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self.jar)
        self.opener = urllib.request.build_opener(handler)

    def cookie(self, name):
        return next((cookie.value for cookie in self.jar if cookie.name == name), "")

    def ask(self, method, path, body=None, form=False):
        url = path if path.startswith("http") else self.url + path
        headers = {"Referer": self.url}
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        elif self.cookie("csrftoken"):
            headers["X-CSRFToken"] = self.cookie("csrftoken")
        data = None
        if body is not None:
            data = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
            kind = "application/x-www-form-urlencoded" if form else "application/json"
            headers["Content-Type"] = kind
        request = urllib.request.Request(url, data, headers, method=method)
        with self.opener.open(request, timeout=120) as reply:
            text = reply.read().decode()
        return text if form or method == "PAGE" else text and json.loads(text)

    def page(self, path):
        url = path if path.startswith("http") else self.url + path
        with self.opener.open(url, timeout=120) as reply:
            return reply.read().decode()


class Token(html.parser.HTMLParser):
    """Finds the hidden field that a form must send back."""

    value = None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "input" and attributes.get("name") == "csrfmiddlewaretoken":
            self.value = self.value or attributes.get("value")


def sign_up(url, invite, email):
    """A new person, logged in."""
    person = Server(url)
    form = Token()
    form.feed(person.page(invite))
    body = {"email": email, "password": PASSWORD, "csrfmiddlewaretoken": form.value}
    person.ask("POST", invite, body, form=True)
    return person


def label(text, number, second):
    """What a place is called now. The second person takes every fifth place for the other."""
    city = text in CITIES
    if second and number % 5 == 4:
        city = not city
    return "CITY" if city else "STATE"


def answer(person, task, number, second):
    """Begins with the first prediction, as the tool's own page does, and names each place anew."""
    began = task["predictions"][0]
    result = json.loads(json.dumps(began["result"]))
    for entry in result:
        labels = entry["value"].get("labels")
        if labels == ["LOC"]:
            entry["value"]["labels"] = [label(entry["value"]["text"], number, second)]
    body = {
        "result": result,
        "lead_time": 4.0 + number % 3 + (2.0 if second else 0.0),
        "parent_prediction": began["id"],
        "was_cancelled": second and number == 7,
    }
    if body["was_cancelled"]:
        body["result"] = []
    person.ask("POST", f"/api/tasks/{task['id']}/annotations/", body)


def main():
    url, token, config, tasks, out = sys.argv[1:]
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    admin = Server(url, token)

    def keep(name, value):
        text = json.dumps(value, ensure_ascii=False, indent=1)
        (out / name).write_text(text + "\n", encoding="utf-8")
        return value

    project = {
        "title": "relabel",
        "label_config": pathlib.Path(config).read_text(encoding="utf-8"),
        "maximum_annotations": 2,
    }
    project = keep("project.json", admin.ask("POST", "/api/projects", project))
    number = project["id"]
    tasks = json.loads(pathlib.Path(tasks).read_text(encoding="utf-8"))
    path = f"/api/projects/{number}/import?return_task_ids=1"
    loaded = keep("import.json", admin.ask("POST", path, tasks))
    held = [admin.ask("GET", f"/api/tasks/{task}") for task in loaded["task_ids"]]
    keep("tasks.json", held)
    invite = urllib.parse.urljoin(url, admin.ask("GET", "/api/invite")["invite_url"])
    export = f"/api/projects/{number}/export?exportType=JSON"
    for second, name in enumerate(["half.json", "answers.json"]):
        person = sign_up(url, invite, f"relabel{number}-{second + 1}@example.com")
        for at, task in enumerate(held):
            answer(person, task, at, bool(second))
        keep(name, admin.ask("GET", export))
    print(f"project {number}: {len(held)} tasks answered by two people")


if __name__ == "__main__":
    main()
