(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func $s (loop (br 0))) (start $s) (func (export "f") unreachable))
  (core instance $i (instantiate $m))
  (func $f  (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f)))
