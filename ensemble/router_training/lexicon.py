"""Topics of each class, from general knowledge: what generated prompts are about. None is quoted from data."""

from __future__ import annotations

NUMERICAL = """
    gradient descent; Newton's method; the bisection method; the secant method; Runge-Kutta integration of an ODE
    system; an implicit Euler solver for stiff equations; the heat equation by finite differences; the wave
    equation on a 2D grid; Poisson's equation by a multigrid method; the Navier-Stokes equations for lid-driven
    cavity flow; a finite element solver for linear elasticity; Gauss-Legendre quadrature on a tetrahedron; LU
    decomposition with partial pivoting; Cholesky factorisation; QR decomposition by Householder reflections;
    singular value decomposition; the power iteration for the largest eigenvalue; the generalized eigenvalue
    problem; conjugate gradients with a preconditioner; GMRES; sparse matrix-vector products; a matrix
    exponential; the matrix square root; Kronecker products; the discrete Fourier transform; a fast
    Walsh-Hadamard transform; FFT-based convolution; wavelet denoising; cubic spline interpolation; Lagrange
    interpolation; Chebyshev approximation; Simpson's rule; adaptive quadrature; Monte Carlo integration;
    importance sampling; Markov chain Monte Carlo; a Kalman filter; a particle filter; linear regression by
    normal equations; ridge regression; the lasso by coordinate descent; logistic regression from scratch;
    support vector machines by quadratic programming; k-means clustering; Gaussian mixture models by expectation
    maximisation; principal component analysis; non-negative matrix factorisation; Gaussian process regression;
    backpropagation derived by hand; an autoregressive model; the Viterbi algorithm; the simplex method; an
    interior point method; a linear program with equality constraints; mixed integer programming; a quadratic
    program; the travelling salesman problem by dynamic programming; max-flow min-cut; the Hungarian assignment
    algorithm; minimum spanning trees with a proof of correctness; shortest paths with a complexity proof; graph
    isomorphism; vertex cover approximation with its bound; graph colouring; the knapsack problem; set cover; the
    Miller-Rabin primality test; Pollard's rho factorisation; the sieve of Eratosthenes and its complexity; the
    extended Euclidean algorithm; modular exponentiation; the Chinese remainder theorem; discrete logarithms; RSA
    key generation; elliptic curve addition; Diffie-Hellman over a finite field; perfect numbers up to a bound;
    Pythagorean triples with a perimeter; continued fractions; partitions of an integer; Catalan numbers;
    Stirling numbers; binomial coefficients modulo a prime; Euler's totient summed over a range; Fibonacci by
    matrix powers; the Collatz sequence; Pascal's triangle modulo n; counting lattice paths; magic squares;
    convex hulls; Voronoi diagrams; Delaunay triangulation; point in polygon; polygon area by the shoelace
    formula; rotation with quaternions; inverse kinematics; a PID controller; Lyapunov stability of a system; a
    linear quadratic regulator; the algebraic Riccati equation; optimal transport by Sinkhorn iterations; the
    Wasserstein distance; total variation denoising; an N-body simulation; molecular dynamics with Lennard-Jones
    potentials; Schroedinger's equation in one dimension; a quantum Fourier transform; the Ising model; random
    walks and their variance; Black-Scholes option prices; a binomial option tree; value at risk; portfolio
    optimisation; bootstrap confidence intervals; a Kolmogorov-Smirnov test; the chi-square test; a permutation
    test; kernel density estimation; the correlation of two series; two-dimensional convolution; edge detection
    by gradients; polynomial roots by companion matrices; Groebner bases; symbolic differentiation; automatic
    differentiation; arbitrary precision arithmetic; computing digits of pi; a differential equation with initial
    values; Lotka-Volterra equations; orbital mechanics; the Lorenz system; reaction diffusion patterns; PDE
    boundary value problems; a Lyapunov equation; page rank; spectral clustering; eigenvectors of complex
    matrices; least squares; Toeplitz systems; matrix multiplication; Vandermonde solves; a vector field's
    divergence; two dimensional trusses; beam deflection; plane stress in a plate; Euler buckling loads;
    isoparametric mapping; mesh assembly with boundary conditions; nonlinear elasticity with Newton iterations;
    the Jacobi and Gauss-Seidel iterations; successive over-relaxation; the Thomas algorithm for tridiagonal
    systems; a banded solver; the Lanczos process; Arnoldi iteration; Gram-Schmidt orthogonalisation; the
    condition number of a matrix; low-rank approximation; the pseudo-inverse; null spaces and ranks by
    elimination; Strassen multiplication with its recurrence; Karatsuba multiplication; the number theoretic
    transform; the Crank-Nicolson scheme; upwind advection; the method of lines; the Courant condition of an
    explicit scheme; Adams-Bashforth steps; backward differentiation formulas; a symplectic integrator for
    planets; shooting for two-point boundary values; collocation with Chebyshev nodes; spectral differentiation;
    a bar element's stiffness; a frame of beams under distributed load; plane strain elasticity with triangles;
    Galerkin's method in one dimension; hat functions and their gradients; quadrature over a reference triangle;
    a patch test for elements; heat conduction with convection at the boundary; modal analysis of a spring chain;
    Timoshenko beams; Newmark time stepping; hyperelastic stress and its tangent; von Mises stress; principal
    stresses of a tensor; the trapezoidal rule and its error; Romberg extrapolation; Gauss-Hermite quadrature;
    Richardson extrapolation; Aitken acceleration; fixed point iteration and contraction; Broyden's update; BFGS
    with a line search; Levenberg-Marquardt curve fitting; Nelder-Mead; simulated annealing; gradient descent
    with momentum; Adam's update rule; projected gradients on a simplex; the augmented Lagrangian; ADMM for
    sparse regression; branch and bound; column generation; dual simplex pivots; semidefinite relaxation; a bin
    packing bound; job shop scheduling; Floyd-Warshall and why it is right; Bellman-Ford with negative cycles;
    Dijkstra's correctness; Edmonds-Karp flow and its bound; bipartite matching; Eulerian circuits; strongly
    connected components with a proof; chromatic polynomials; counting spanning trees by a determinant; maximum
    clique search; Hamiltonian paths; the Josephus problem in closed form; the Euclidean algorithm's step count;
    Wilson's theorem as a test; primitive roots; quadratic residues and the Legendre symbol; Tonelli-Shanks
    roots; baby-step giant-step; Fermat factorisation; Mersenne primes; prime counting; smooth numbers; the
    Moebius function; divisor sums; abundant numbers; palindromic squares; digit sums of large powers; repeating
    decimals of unit fractions; Farey sequences; Egyptian fractions; Pell's equation; Diophantine equations in
    two unknowns; triangular, pentagonal and hexagonal numbers; magic constants; derangements; integer
    compositions; Bell numbers; Euler numbers; the Ackermann function; Zeckendorf sums; Gray codes; permutations
    in lexicographic order; the n-queens count; Latin squares; Nim values; lattice points under a curve; Pick's
    theorem; closest pairs with a proof; line segment intersection; rotation matrices; homogeneous transforms;
    Bezier curves; B-spline bases; spherical harmonics; great circle distances; Kepler's equation; Fourier series
    coefficients; power spectral density; a Butterworth filter; the Hilbert transform; autocorrelation; singular
    spectrum analysis; the Box-Muller transform; rejection sampling; Gibbs sampling; Hamiltonian Monte Carlo;
    Latin hypercube sampling; variance reduction by control variates; Sobol sequences; a Poisson process; Markov
    chain stationary distributions; queueing delays; hidden Markov models; Bayesian linear regression; the
    Metropolis algorithm; analysis of variance; Student's t-test; the Mann-Whitney statistic; maximum likelihood
    for a gamma distribution; Fisher information; entropy and mutual information; Kullback-Leibler divergence;
    Huffman codes with optimality; Hamming codes; Reed-Solomon codes; linear feedback shift registers; Shamir's
    secret sharing; zero-knowledge proofs; lattice reduction; the Paillier scheme; polynomial division over a
    field; Sturm sequences; Horner's scheme; resultants; interval arithmetic; Kahan summation and its error
    bound; floating point rounding error; fixed-point square roots; the arithmetic-geometric mean; zeta values;
    Bessel functions; the gamma function by Lanczos; elliptic integrals; Legendre polynomials; Pade approximants;
    Remez exchange; dynamic mode decomposition; independent component analysis; spectral graph partitioning;
    graph Laplacians; t-SNE gradients; attention's gradient by hand; a variational autoencoder's loss; policy
    gradients derived; the Bellman equation and value iteration; Kelly betting; yield curve bootstrapping; Heston
    paths; option Greeks; Cox-Ross-Rubinstein trees; Markowitz weights; discounted cash flows by root finding;
    pendulum motion; coupled oscillators; projectiles with drag; a double pendulum; lattice Boltzmann flow; the
    Schroedinger propagator; Bloch equations; Maxwell's equations on a Yee grid; percolation thresholds; cellular
    automata statistics; epidemic models with fitted rates; diffusion limited aggregation
"""

MATHEMATICAL = """
    the sum of the first n odd numbers; a quadratic equation; a system of three linear equations; the derivative
    of x^2 sin x; the integral of 1/(1+x^2); the limit of (1+1/n)^n; the area of a triangle with sides 5, 12, 13;
    the volume of a cone; the roots of a cubic; an inequality between means; a geometric series; the probability
    of two aces; the expected value of a die; a permutation without fixed points; the number of ways to seat
    seven people; a congruence modulo 17; the greatest common divisor; infinitely many primes; the irrationality
    of the square root of 2; a group of order 15; a vector space's dimension; the eigenvalues of a symmetric
    matrix; a bounded sequence that converges; uniform continuity; compactness of a closed interval; the
    Cauchy-Schwarz inequality; de Moivre's formula; a complex number's modulus; the equation of a tangent; the
    vertex of a parabola; asymptotes of a rational function; the foci of an ellipse; a regular hexagon inscribed
    in a circle; similar triangles; an angle bisector; logarithms with base 3; compound interest over 6 years; a
    mixture of two solutions; two trains that meet; workers who finish a wall together; the price after a 20%
    discount; the average speed of a round trip; apples shared among children; how many eggs are left; ages of a
    father and a son; money saved each week; the perimeter of a garden; a recipe doubled for guests; pages read
    per day; the cost of tickets; a fraction of a pizza; percent increase of rent; divisibility by 11; the last
    two digits of 7^100; a functional equation; a recurrence relation; a telescoping sum; Bayes' theorem with a
    medical test; the variance of a binomial variable; a normal distribution's tail; a confidence interval; a
    homogeneous differential equation; Laplace transforms; Fourier coefficients of a square wave; Taylor series
    of e^x; curl and divergence; a line integral; Stokes' theorem; Lagrange multipliers for a box; a convex
    function; a metric space; a ring homomorphism; Galois groups; the fundamental theorem of algebra; induction
    on n; the pigeonhole principle; a bijection between sets; the power set; a planar graph's faces; Euler's
    formula; Ramsey numbers; a tiling argument; the sum of two consecutive even numbers; a cubic with integer
    roots; nested radicals; absolute values; the floor of a real number; base 7 numerals; digits of a product;
    the remainder on division by 9; the number of divisors; least common multiples; relatively prime integers; an
    arithmetic progression; a harmonic mean; the AM-GM inequality; Jensen's inequality; Chebyshev polynomials;
    Vieta's formulas; polynomials with real coefficients; a matrix inverse; a determinant of order 3; cross
    products; planes in space; the distance from a point to a line; circumscribed circles; the incircle of a
    right triangle; medians and centroids; cyclic quadrilaterals; power of a point; the law of cosines;
    identities of sine and cosine; arcs and sectors; surface area of a sphere; a frustum; a prism cut by a plane;
    complex roots of unity; matrices that commute; orthogonal projections; linear maps and kernels;
    diagonalisation; quotient groups; Sylow theorems; ideals in a ring; finite fields; field extensions; open and
    closed sets; connected spaces; fundamental groups; measurable functions; dominated convergence; residues;
    conformal maps; analytic continuation; Banach spaces; self-adjoint operators; manifolds and curvature;
    geodesics; generating functions; inclusion and exclusion; binomial identities; paths on a grid; committees of
    five from nine; drawing socks from a drawer; coin tosses; random variables that are independent; moment
    generating functions; Markov's inequality; the central limit theorem; regression to the mean; median and mode
    of data; z-scores; half-life and decay; doubling time; loan payments; sales tax and tips; unit conversion;
    map scales; ratios of paint; speed of a boat against the stream; pumps that fill a tank; hours of overtime
    pay; calories burned; chairs in rows; legs of chickens and rabbits; candies in bags; discounts in a shop;
    profit on a sale; distance run each week; books on shelves; rainfall per month; the weight of boxes; milk in
    bottles; time zones and flights; seating at tables; gardens and fences; a taxi fare; bus passengers; marbles
    of two colours; cards in a deck; a clock's hands; calendars and weekdays
"""

PROGRAMMING = """
    a REST API with authentication; a login form with validation; a React component with hooks; a Vue table with
    sorting; a Flask blueprint; a Django model with a foreign key; a Spring Boot controller; an Express
    middleware; a GraphQL resolver; a websocket chat server; a Discord bot; a Telegram bot; a web scraper with
    BeautifulSoup; a Selenium test; a CSV parser; reading a JSON file; parsing command line arguments; a regular
    expression for e-mail addresses; splitting a string by commas; reversing a linked list; a stack class with
    push and pop; a queue with two stacks; a binary search tree; an LRU cache; a trie; sorting a dictionary by
    value; removing duplicates from a list; finding the second largest element; counting words in a file;
    checking whether a string is a palindrome; an anagram check; Roman numerals conversion; a bank account class;
    a tic-tac-toe game; a snake game in pygame; a calculator GUI with tkinter; a to-do list app; a shopping cart;
    a clock class; a robot simulator; a phone number cleaner; a run-length encoder; a tuple to list conversion; a
    lambda that filters even numbers; merging two dictionaries; nested lists flattened; a thread pool; async
    requests with aiohttp; a producer and consumer; a race condition; a deadlock; a memory leak; a segmentation
    fault; a null pointer exception; an import error; a CORS error; a failing unit test; a flaky integration
    test; mocking a database in pytest; a GitHub Actions workflow; a Dockerfile for a Node app; docker compose
    with Postgres and Redis; a Kubernetes deployment; a Helm chart; an nginx reverse proxy; an Apache rewrite
    rule; a systemd service; a cron job; a Makefile; CMake targets; a git rebase with conflicts; an undo of the
    last commit; a pre-commit hook; an S3 bucket policy; an AWS Lambda function; an Azure function; a Terraform
    module; Ansible playbook roles; a firewall rule; an SSH tunnel; a PowerShell script for Active Directory
    users; an Excel macro; a pivot in pandas; grouping a dataframe by month; a SQL join of three tables; the top
    row per group; a window function; a recursive CTE; an index for a slow query; a migration in Alembic; a
    MongoDB aggregation; an Elasticsearch mapping; a Kafka consumer; a RabbitMQ queue; Celery tasks with retries;
    a Redis cache; a rate limiter; OAuth2 with refresh tokens; JWT validation; password hashing; file upload with
    progress; image resizing on upload; PDF generation; sending e-mail by SMTP; a payment webhook;
    internationalisation; dark mode in CSS; centering a div; a responsive grid; a D3 bar chart; a Three.js scene;
    an Unreal Engine blueprint; a Unity player controller; a shader in GLSL; an Arduino sketch for a sensor; a
    Raspberry Pi GPIO script; a Linux kernel module; a device driver; a parser for a small language; a tokenizer;
    an interpreter with closures; a garbage collector; a type checker; an LLVM pass; a Rust borrow checker error;
    lifetimes in a struct; a C++ template; a smart pointer; a virtual destructor; an abstract factory; dependency
    injection; the singleton pattern; a state machine; event sourcing; microservices with a gateway; logging
    configuration; environment variables; a virtual environment; a pip dependency conflict; a Jupyter notebook; a
    Hugging Face pipeline; fine-tuning a transformer with LoRA; a vector database; an OpenAI API call; object
    detection with OpenCV; a PyTorch data loader; a Keras model that does not fit; CUDA out of memory; quantising
    a model with llama.cpp; prompt templates; a browser extension; an Android activity; a SwiftUI view; Flutter
    state management; a Blazor page; an Outlook add-in; a Shopify theme; a WordPress plugin; an Odoo model; a
    Verilog counter; a VHDL testbench; a PLC ladder program; an XML schema; YAML anchors; protobuf messages; gRPC
    streaming; a REST client with retries; hoisting and closures; event delegation; debouncing an input; server
    side rendering; state in Redux; a Svelte store; Angular routing; NestJS guards; FastAPI dependencies;
    SQLAlchemy sessions; Rails callbacks; Laravel queues; an ORM with lazy loading; pagination of results; soft
    deletes; row level security; a stored procedure; a trigger on update; duplicate rows; date ranges in a query;
    string to date conversion; null values in a left join; grouping with a having clause; pivoting rows to
    columns; a foreign key error; deadlocks in a transaction; replication lag; a database backup script;
    connection pooling; a serializer; an iterator protocol; a decorator with arguments; a context manager; list
    comprehensions; slicing of strings; sorting objects by two keys; counting vowels; capitalising words;
    splitting a list in chunks; tuples with equal elements; a dictionary from two lists; common items of two
    arrays; rotating an array; pattern matching on text; replacing spaces; checking brackets; removing
    punctuation; validating a number; luhn checks; a scrabble score; a secret handshake; bowling scores; a
    library of books; an inventory; a vending machine; a parking lot; an elevator; a card game; hangman; a maze
    generator; minesweeper annotations; a word search; sublists; grade school rosters; a phone book; a matrix of
    text rows; an alarm clock; a circular buffer; a linked list with two ends; a rope for text editing; a ledger
    with formatting; a spell checker; a text adventure; a chat room; a URL shortener; a feed reader; a file
    watcher; recursive directory listing; renaming files in bulk; log rotation; parsing logs; monitoring with
    Prometheus; alert rules; a load balancer; blue-green deployment; feature flags; a monorepo; semantic
    versioning; a changelog generator; code coverage; linting rules; type hints; generics; trait objects;
    channels and goroutines; futures and promises; callbacks; a mutex; an atomic counter; memory alignment;
    pointer arithmetic; endianness; bit fields; a bootloader; interrupt handlers; I2C sensors; an RTOS task;
    serial communication; a Bluetooth service; push notifications; deep links; a camera preview; local storage; a
    service worker; web assembly; canvas drawing; an SVG icon; CSS animations; a sticky header; a modal dialog;
    form validation; drag and drop; infinite scroll; an image gallery; a date picker; an autocomplete field;
    accessibility labels; a sitemap; a static site generator; a markdown renderer; syntax highlighting; an AST
    visitor; a macro; a linker error; a build that is slow; a crash on start; an off-by-one bug; an infinite
    loop; a stack overflow; an encoding problem; time zones in timestamps; a permission denied error; a port
    already in use; a broken symlink; disk usage; swap space; users and groups; a proxy behind a firewall; DNS
    records; TLS certificates; SSO with SAML; role based access; SQL injection; cross-site scripting; secrets in
    CI; container image size; network policies; autoscaling; a data pipeline; Spark jobs; an Airflow DAG; dbt
    models; parquet files; a data warehouse schema; text embeddings search; a chatbot backend; model serving with
    TensorFlow; a training loop; batch inference; tokenisation of text; a Streamlit dashboard; matplotlib axes; a
    heat map with seaborn; reading Excel files; merging dataframes; missing values in a table; one-hot encoding;
    a confusion matrix plot; web sockets in Go; a REST call in Swift; JSON in C; threads in Perl; macros in
    Emacs; a Vim plugin; VS Code settings; regular expressions that are greedy; version control of notebooks; a
    code review checklist; an open source licence header; design patterns; clean architecture; API versioning;
    test doubles
"""

GENERAL = """
    a birthday invitation; a cover letter for a nurse; a polite refusal e-mail; a poem about autumn; a short
    story with a dragon; a haiku; a product description for a lamp; slogans for a coffee shop; a speech for a
    wedding; a summary of a novel; a film review; a recipe with lentils; a vegetarian dinner for six; a three-day
    trip to Lisbon; the best season to visit Japan; how to remove a stain; how to train a puppy; exercises for
    the lower back; a sleep routine; the symptoms of a cold; the causes of the First World War; the fall of the
    Roman empire; the French revolution; who wrote Hamlet; the capital of Australia; how vaccines work; why the
    sky is blue; photosynthesis for children; black holes in simple words; the difference between weather and
    climate; inflation explained; supply and demand; how to ask for a raise; an agenda for a meeting; a business
    plan for a bakery; a SWOT analysis of an airline; marketing ideas for a gym; a press release; a LinkedIn
    post; interview questions for a manager; feedback for an employee; team building ideas; conflict in a team; a
    translation into French; a sentence with better grammar; synonyms of happy; an essay on honesty; arguments
    for remote work; pros and cons of nuclear power; a debate on school uniforms; a lesson plan on volcanoes; a
    bedtime story; names for a cat; riddles for children; a joke about penguins; a role play as a pirate; a
    dialogue between two gods; a character for a fantasy novel; a travel blog; a restaurant review; a complaint
    about a delivery; sentiment of a review; named entities in a sentence; a headline for an article; keywords of
    a paragraph; a classification of animals; a rhyme; the meaning of a proverb; a horoscope; a gift for my
    mother; how to make friends; advice after a break-up; mindfulness; a budget for students in words; rules of
    chess; football tactics; guitar chords for beginners; a playlist; paintings of Monet; an interpretation of a
    dream; ethics of cloning; philosophy of Kant; the trolley problem; religions of India; a map of medieval
    trade; a press summary; legal terms in a lease; a privacy policy in plain words; medical history of a
    patient; a nursing note; customer support replies; a survey about food; a job advert; a social media
    calendar; an apology; a eulogy; a toast; a fable; the plot of a thriller; a song about the sea; a letter to a
    landlord; plants for a shady balcony; a cleaning plan; how to tie a tie; how to change a tyre; choosing a
    bicycle; a packing list; a workout plan; a thank-you note; a resignation letter; a personal statement for
    college; a dating profile; an out-of-office message; a fundraising letter; a wedding menu; a children's party
    game; a scary story; a limerick; a love poem; a screenplay scene; a monologue; alternative endings; a
    villain's backstory; a fictional planet; a slogan for recycling; a tagline for shoes; brand names for tea; a
    mission statement; an elevator pitch; customer personas; a pricing strategy in words; a market overview;
    competitors of a café; a hiring policy; performance reviews; negotiation with a supplier; delegating work;
    time management; procrastination; burn-out; anxiety before exams; public speaking; a new habit; learning a
    language; study tips; a reading list; classics of literature; symbolism in a novel; metaphors; irony;
    Shakespeare's sonnets; a biography of a scientist; inventors of the telephone; ancient Egypt; the Silk Road;
    the Cold War; the moon landing; civil rights; democracy and its critics; the constitution; elections; taxes
    for the self-employed; tenant rights; copyright of photos; travel insurance; visas; airports; hiking boots;
    camping with toddlers; beaches of Thailand; museums of Paris; street food of Mexico; wine with fish;
    sourdough bread; gluten-free cakes; meal plans; protein sources; vitamins; headaches; allergies; blood
    pressure; first aid for burns; sleep apnoea; pregnancy and travel; yoga for beginners; running shoes;
    swimming technique; tennis rules; the Olympic games; video game reviews; board games; movie recommendations;
    famous directors; jazz history; opera for newcomers; painting with watercolours; photography of landscapes;
    knitting a scarf; home decoration; small kitchens; gardening in clay soil; compost; pets and fireworks; cats
    and dogs; endangered animals; coral reefs; volcanoes; earthquakes; the water cycle; cells and DNA; evolution;
    the immune system; renewable energy; electric cars; space travel; life on Mars; artificial intelligence and
    society; social media and teenagers; fake news; privacy; stock markets in words; bitcoin and its critics;
    saving for retirement; real estate; minimum wage; globalisation; trade unions; ethics of eating meat; free
    will; happiness; stoicism; religion and science; etiquette in Japan; gift ideas; small talk; friendship;
    parenting a teenager; grief; forgiveness; a compliment; an insult rewritten politely; a tweet; hashtags; a
    podcast outline; an interview with a chef; a news report; an obituary; an advert for a car; spelling
    mistakes; tenses in English; idioms; word origins; a crossword clue; opposites of words; categories of
    objects; similar sentences; sarcasm in comments; the topic of a text; the tone of an e-mail; entailment
    between sentences; the language of a text; facts and opinions; a dialogue summary; missing words; a shopping
    list; a daily schedule; a packing guide; a seating plan in words; emergency contacts
"""

LANGUAGES = """
    Python; JavaScript; TypeScript; Java; C++; C; C#; Go; Rust; Ruby; PHP; Kotlin; Swift; Scala; Haskell; SQL;
    Bash; PowerShell; R; Lua; Perl; Dart; MATLAB; HTML and CSS; Terraform; VBA; Solidity; Assembly
"""

TOOLS = """
    React; Vue; Angular; Svelte; Django; Flask; FastAPI; Spring Boot; Laravel; Rails; Express; ASP.NET Core;
    Electron; Flutter; SwiftUI; Jetpack Compose; Qt; GTK; Unity; Godot; Unreal Engine; Blender; OpenGL; Vulkan;
    WebGL; Three.js; D3; matplotlib; Plotly; ggplot2; seaborn; Bokeh; pandas; Polars; Spark; Kafka; Airflow;
    dbt; Snowflake; BigQuery; Redshift; PostgreSQL; MySQL; SQLite; MongoDB; Cassandra; Neo4j; DynamoDB; Redis;
    Elasticsearch; RabbitMQ; Docker; Kubernetes; Helm; Terraform; Ansible; Jenkins; GitLab CI; GitHub Actions;
    nginx; Apache; HAProxy; Prometheus; Grafana; Splunk; AWS Lambda; EC2; S3; Azure Functions; Google Cloud Run;
    Firebase; Supabase; Cloudflare Workers; WordPress; Drupal; Joomla; Shopify; Magento; Salesforce; SAP;
    Dynamics 365; SharePoint; Excel VBA; Google Apps Script; AutoCAD; SolidWorks macros; ArcGIS; QGIS; LaTeX;
    Emacs; Vim; VS Code; IntelliJ; PyTorch; TensorFlow; Keras; JAX; scikit-learn; XGBoost; Hugging Face;
    LangChain; llama.cpp; OpenCV; spaCy; NLTK; gensim; Streamlit; Gradio; Selenium; Playwright; Cypress; pytest;
    JUnit; Jest; cocotb; Verilog; SystemVerilog; VHDL; Arduino; ESP32; STM32; Raspberry Pi; ROS; MQTT; Modbus;
    CAN bus; Bluetooth LE; gRPC; GraphQL; OpenAPI; OAuth; Keycloak; LDAP; Active Directory; PowerShell; systemd;
    cron; bash; awk; sed; tmux; Git; Subversion; Maven; Gradle; npm; webpack; Vite; Tailwind; Bootstrap;
    Next.js; Nuxt; Astro; HTMX; jQuery; XAML; WPF; WinForms; Xamarin; MAUI; Tkinter; Roblox Studio; Minecraft
    plugins; Discord bots; Telegram bots; Slack apps; Twilio; Stripe; Solana; Ethereum; Odoo; Power BI; Tableau;
    Home Assistant; Asterisk; FreeRADIUS; OpenVPN; WireGuard; iptables; Proxmox; VMware; Hyper-V
"""
