import unittest

import app
from skillhost import Failure
from skillhost.testing import Host


class Greet(unittest.TestCase):
    def test_it_greets(self) -> None:
        self.assertEqual(app.greet("Ada"), "Hello, Ada!")
        self.assertEqual(Host().call("greet", name="Ada").text, "Hello, Ada!")

    def test_it_greets_nobody(self) -> None:
        with self.assertRaises(Failure):
            app.greet(" ")


if __name__ == "__main__":
    unittest.main()
