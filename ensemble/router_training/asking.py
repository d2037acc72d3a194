"""Ways of asking and what long prompts add: `{t}` a topic, `{b}` without its article, `{f}` as a name, `{l}` a language."""

from __future__ import annotations

OPENINGS = (
    "I am stuck and my deadline is near. ", "Let's think step by step. ", "For my course: ", "Quick question. ",
    "You are an expert. ", "My colleague asked me this today. ", "Answer in detail. ", "I'm a beginner. ",
)
_HYBRID = (
    "Implement {t} in {l}.", "Write a {l} function for {t} and prove that it is correct.",
    "Write a {l} program that computes {t} and explain the mathematics.",
    "Implement {t} in {l} and derive its convergence rate.", "Code up {t}. Analyse the time complexity with a proof.",
    "{T}\n\nGiven the matrices and vectors described below, compute the result.\n\nInput: a dictionary with keys: "
    '"A": nested lists of n rows, "b": a list of n floats.\n\nExample input:\n{"A": [[2.0, 1.0], [1.0, 3.0]], "b": '
    "[1.0, 0.5]}\n\nOutput: a list of floats with the solution.\n\nExample output: [0.5, 0.0]\n\nThe solution has to be "
    "accurate to 1e-6. The solver must be as fast as possible.",
    "The problem is {t}. We are given n points and weights $w_i$ and seek\n\nminimize sum_i w_i |x_i - y|^2\nsubject to "
    "y >= 0.\n\nInput: n, the list x, the list w.\nOutput: the optimal value and the optimal point.",
    'def {f}(values, tolerance=1e-8):\n    """\n    {T}.\n\n    Parameters\n    ----------\n    values : ndarray of shape '
    '(n, 2)\n        Coordinates.\n\n    Returns\n    -------\n    ndarray of shape (n, n)\n    """\n\nComplete it.',
    "import numpy as np\n\ndef compute_{f}(x: np.ndarray, order: int) -> np.ndarray:\n    \"\"\"Compute {t}.\n\n    The "
    "formula is f = sum_i w_i * N_i(x) * det(J).\n\n    Args:\n        x: array of shape (n, 3)\n    Returns:\n        the "
    "assembled matrix\n    \"\"\"\n    pass",
    "Write a Python function that assembles what is needed for {t} and returns a numpy array. Use 2x2 integration points "
    "and the determinant of the Jacobian. Boundary conditions are given as a list of nodes.",
    "{T}\n\nA number is called good if it has the property above. For example, {n} and {m} are good. Find the sum of all "
    "good numbers below n.\n\nWrite a function that takes n and returns this number.",
    "Write a function that returns the {n}th value in the case of {t}. The first few are 1, 2, 6, 24. It should be fast "
    "for n up to {m}000.",
    "{T}: the task is to compute, for every n up to a limit, the value asked for. Write a function that returns it.",
    "Create a {l} class that performs {t}; state the formulas used and test it numerically.",
    "Simulate {t} in {l} and estimate the error statistically.",
    "How would I program {t} efficiently, and why is it O(n log n)? Show code and proof.",
    "Can you write {l} code that solves {t} numerically and plots the result?", "{b} algorithm in {l} from scratch",
    "Optimise this solver for {t}: minimise $c^T x$ subject to $Ax = b$, $x \\ge 0$. Implement `solve`.",
    "Calculate {t} with a function `{f}(n)` and explain which theorem makes it work.",
    "how do i compute {t} in {l}? i also need the derivation", "Write a {l} function to approximate {t}.",
)
_MATH = (
    "Find {t}.", "Compute {t}.", "Prove a statement about {t}.", "What is {t}?", "Show all steps: {t}.",
    "Let $a$, $b$ and $c$ be positive real numbers. Consider {t}. Show that $a+b \\ge c$.",
    "Explain {t} with an example and a proof.", "Determine all integers $n$ for which {t} holds.",
    "Tom has {n} marbles and buys {m} more each day. This is about {t}. How many does he have after a week?",
    "A shop sells {n} items at $3.50 each and {m} at $2. How much money does it make in total?",
    "Evaluate $\\int_0^{n} x^2 dx$ and relate it to {t}.", "How do I calculate {t} by hand?",
    "If $x + y = {n}$ and $xy = 6$, what follows for {t}? Express your answer as a common fraction.",
    "Why is {t} true? Give a rigorous argument.", "Suppose that $f$ is continuous on $[0,1]$. Show a result on {t}.",
    "Maria is twice as old as Ben. In {n} years they are {m} together. How old is Ben?",
    "What is the probability in the case of {t}?", "What's {n} times {m}, minus 17?", "Solve for x: {n}x + 4 = {m}.",
    "The length of a rectangle is {n} cm and its width half of it. What is its area?",
    "Given x^2 + {n}x + {m} = 0, find the roots.", "Show that for any natural number n, {n} divides n^3 - n.",
    "Anna reads {n} pages on Monday and twice as many on Tuesday. How many are left of {m}?",
    "A train travels {m} km in {n} hours. What is its speed?", "Simplify (x^2 - 4)/(x - 2).",
    "Find the value of f({n}) if f(x) = 5x^3 - 2x + 3.", "Is there a set such that {t}? Prove your claim.",
    "Compute $\\frac{{n}}{{m}} + \\sqrt{2}$.", "Which number comes next: 2, 4, 8, 16?",
    "In the case of {t}, is it an NP-hard or an open question? Prove what you can.",
    "What are the odds that {n} of {m} people share a birthday?", "Estimate how many piano tuners a city has; show your "
    "calculation.",
)
_CODE = (
    "Write a {l} function for {t}.", "How do I do {t} in {l}?", "Implement {t} in {l}.", "{b} using {l}", "{l}: {b}",
    "I get an error with {t} in {l}. How can I fix it?\n\n```\nTypeError: undefined is not a function\n  at main.js:{n}\n```",
    "Explain this code about {t}:\n\n```\nfor item in items:\n    print(item)\n```", "how to handle {b} in {l}",
    "What is the best way to handle {t}?", "Refactor the following {l} class ({t}) so that it is testable.",
    "Create {t} with {l}, step by step.", "Review my code for {t} and suggest improvements.",
    "Why does {t} not work on Windows but on Linux?", "Write a script to automate {t}.", "sql query with {b}",
    "Design the architecture for {t}; show the main interfaces.", "Write unit tests for {t}.",
    "# Instructions\n\nImplement {t}.\n\nThe class should have the methods `add`, `remove` and `list`. For example, "
    "`add(\"{b}\", {n})` returns `true`; an unknown name raises an error.",
    "# Introduction\n\nYou and your friends run a small shop and need software. Your manager asks for {t}.\n\n"
    "# Instructions\n\nYour task is to write it. Given an input such as `{n} a b`, return the output as a string. "
    "Do not use the built-in functions of your language.",
    "Your friend has found an old device that does {t}.\n\nWrite a program that behaves in the same way. Each input is a "
    "string; if it is invalid, report it. Example:\n\n- `abc` becomes `cba`\n- `{n}` is invalid",
    "Write a function `{f}` that takes an array of objects and returns a new array. The order has to be kept. If the "
    "array is empty, return an empty array.", "Write a function to find {t} using lambda.", "{b} in mysql",
    "Write a function to check {t}.", "Write a python function to get {t} from the given list of tuples.",
    "how to {b} when the table has millions of rows", "You are a senior {l} developer. {T}: give me the complete file.",
    "Can you set up {t} on Ubuntu 22.04? Give me the commands and the config files.", "select rows with {b}",
    "What does `{f}` mean in {l}, and how do I configure it?", "difference between {b} and its alternatives in {l}",
    "Compare two libraries for {t} in {l}, with code examples.", "Give me JSON and {l} code for {t}.",
    "I want to build {t}. Which technology stack should I use?", "my {b} does not work", "make a website with {t}",
    "how does {t} work under the hood?", "What are the differences between {l} and Java?", "{b} best practices",
    "Write a {l} program that asks the user for {t} and prints it.", "Develop an app for {t}; show the data model.",
    "Configure {t} so that it scales to {m} users.", "Why is {t} slow, and how do I profile it?",
)
_OTHER = (
    "Write {t}.", "Give me ideas for {t}.", "What do you think about {t}?", "Explain {t}.", "Help me with {t}.",
    "Can you describe {t} in a few sentences?", "Make a list of ten things about {t}.", "Tell me about {t}.",
    "Rewrite this text, which is about {t}, in a friendlier tone:\n\nDear all, we hope you are well.",
    "Suggest {t} and say why.", "Classify the following sentence about {t} as positive or negative.",
    "Act as an expert and give advice on {t}.", "Summarise the article on {t} in three bullet points.",
    "Fill in the blank: the text on {t} is ____.", "What are common mistakes with {t}?", "Who invented {t}?",
    "I am a teacher. Prepare something on {t} for 10-year-olds.", "Compare {t} in 1990 and today.",
    "Which is better, and why: {t} or something else?", "Output a word that means the same.\n\nInput: {t}",
    "Given a paragraph about {t}, extract the names of people and places.", "Is {t} a good idea?",
    "How should I plan {t}? I have {n} days and $200.", "Write a {n}-word essay on {t}.",
    "Generate a table with {n} rows on {t}.", "Given a topic, write a short text.\n\nTopic: {t}\n\nOutput:",
    "Sort these into categories: apple, {b}, chair.", "Convert this into a formal sentence: {t} is cool",
    "Decide whether the two sentences mean the same.\n\nSentence 1: {t}.\nSentence 2: something about it.",
    "Imagine you are a traveller from the past. What would you say about {t}?", "What happened in 19{n}?",
    "Choose the right answer: which of these is related to {t}? a) sea b) sun c) stone", "Why do people like {t}?",
    "Write a list of questions about {t}.", "Help me fix the grammar: he go to {t} yesterday",
    "Write the story of {t} from the perspective of an old man, in {n} sentences.", "How do I improve {t}?",
    "What is the role of {t} in society?", "List the top {n} companies in the market of {t}.",
    "Design a study of {t} with a control group.", "Find a word that fits: {t}", "Translate into German: {t}",
)
WAYS = {"HYBRID": _HYBRID, "MATH": _MATH, "CODE": _CODE, "OTHER": _OTHER}
DETAILS = {
    "HYBRID": (
        "State the formula before the code.", "Use numpy only; handle the degenerate case.",
        "Return an array of floats of shape (n, m).", "The residual norm must be below 1e-6.",
        "Give the complexity and a proof.", "Test it against the closed form.", "Vectorise the loops.",
        "Assume that the matrix is symmetric and positive definite.", "Nodes are given by their coordinates x, y, z.",
        "def solve(problem):\n    raise NotImplementedError", "Example: f(3) should return {n}.", "Constraints: n <= 10^6.",
    ),
    "MATH": (
        "Express the answer in simplest form.", "Give a full proof.", "Round to two decimals.", "Justify each step.",
        "Assume that $n > {n}$.", "Here $\\mathbb{R}$ denotes the real numbers.", "He then gives away {n} of them.",
        "Each of the {m} friends gets the same amount.", "What is the total?", "No calculator is allowed.",
    ),
    "CODE": (
        "Add comments.", "Use the latest version.", "It has to run in Docker.", "Handle errors and log them.",
        "The database is PostgreSQL.", "```js\nconst app = express();\napp.listen({m});\n```", "Include a unit test.",
        "The file is `config.yml`.", "```python\nclass Item:\n    def __init__(self, name):\n        self.name = name\n```",
        "It must be thread safe.", "assert {f}(['a', 'b']) == ['b', 'a']", "Users can log in and edit their data.",
    ),
    "OTHER": (
        "Keep it under 200 words.", "Use a friendly tone.", "The audience is young people.", "Make it funny.",
        "The company has {n} employees in three cities.", "Include a headline.", "I live in a small town and like music.",
        "Our customers complain that the service is slow and the staff unfriendly.", "Use British spelling.",
        "Last summer we met at the lake, and since then nothing has been the same.", "Write it in three paragraphs.",
    ),
}
