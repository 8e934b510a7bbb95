(component
  (component $c
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $x (export "f" (func $f)))
    (export "y" (instance $x)) (export "f" (func $f)))
  (instance $n (instantiate $c))
  (alias export $n "f" (func $g))
  (export "outer" (instance $n)) (export "g" (func $g)))
