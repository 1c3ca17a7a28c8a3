;; The attack: memory shared between threads, which no limit counts.
(memory $shared 1 2 shared)
