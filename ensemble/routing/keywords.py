"""The words and patterns by which the router tells mathematics from programming.

A telling word belongs to one craft; a shared one is at home in both and only tips a balance.
"""

from __future__ import annotations

MATH_TELLING = """
    algebra, antiderivative, arithmetic, bijection, calculus, combinatorics, corollary, cosine, derivative,
    determinant, differential equation, differentiate, eigenvalue, eigenvector, equation, factorial,
    geometry, hypotenuse, inequality, integral, isomorphism, lemma, logarithm, math, mathematical,
    mathematically, mathematics, maths, polynomial, probability, proof, prove, quadratic, theorem,
    trigonometry
"""
MATH_SHARED = """
    average, calculate, calculation, compute, convergence, divisible, evaluate, formula, fraction, gradient,
    integer, matrices, matrix, modulo, numerical, percent, perimeter, prime number, radius, simplify, solve,
    statistics, sum, triangle, variance, vector
"""
CODE_TELLING = """
    bash, c#, c++, code, codebase, coding, compiler, css, data structure, debug, dockerfile, git, golang,
    haskell, html, implement, implementation, java, javascript, json, kotlin, kubernetes, linked list,
    node.js, php, program, programming, pull request, python, refactor, regex, runtime error, source code,
    sql, stack trace, syntax error, typescript, unit test, write a class, write a function, write a method,
    write a query, write a script
"""
CODE_SHARED = """
    algorithm, api, array, binary search, bug, class, command, compile, database, error, exception,
    function, library, loop, method, module, parse, query, recursion, script, server, sort, string, syntax,
    test, variable
"""
HYBRID_KEYWORDS = """
    algorithm complexity, complexity of the algorithm, numerical algorithm, numerical method, optimisation
    algorithm, optimization algorithm
"""

# Every repetition is bounded, so that hostile input costs no more than its length.
CODE_PATTERNS = (
    ("a code block", r"```|~~~\w"),
    ("`def`", r"(?m)^[ \t>]{0,40}(?:async )?def \w{1,80} ?\("),
    ("`class`", r"(?m)^[ \t>]{0,40}class \w{1,80} ?[:({]"),
    (
        "`import`",
        r"(?m)^[ \t>]{0,40}(?:import [\w.]{1,80}(?: as \w{1,80})?[ \t;]{0,8}$|from [\w.]{1,80} import )",
    ),
    ("`#include`", r"#include ?[<\"]"),
)
