"""Writes ONNX nodes as if they were NumPy expressions; onnx_graph.py and onnx_photo.py use it.

``builder.add("Conv", x, weights)`` adds one node; ``+ - * /`` and comparisons of its results
add the nodes of those operators.
"""

import numbers
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Opset 17 (2022): every operator used here is in it, and older engines still read it.
_OPSET = 17
_IR_VERSION = 8


class Value:
    """A tensor that the graph will compute.

    Args:
        builder (GraphBuilder): where its operators add their nodes.
        name (str): its name in the graph.
        dtype (numpy.dtype): type of its elements. ONNX has no implicit casts, so a number
            that meets it becomes a constant of this type.
    """

    def __init__(self, builder: "GraphBuilder", name: str, dtype):
        self.name = name
        self.dtype = np.dtype(dtype)
        self._builder = builder

    def __add__(self, other):
        return self._builder.add("Add", self, other)

    def __sub__(self, other):
        return self._builder.add("Sub", self, other)

    def __rsub__(self, other):
        return self._builder.add("Sub", other, self, dtype=self.dtype)

    def __mul__(self, other):
        return self._builder.add("Mul", self, other)

    def __truediv__(self, other):
        return self._builder.add("Div", self, other)

    def __rtruediv__(self, other):
        return self._builder.add("Div", other, self, dtype=self.dtype)

    def __mod__(self, other):
        return self._builder.add("Mod", self, other)

    def __gt__(self, other):
        return self._builder.add("Greater", self, other, dtype=bool)

    def __eq__(self, other):
        return self._builder.add("Equal", self, other, dtype=bool)

    __hash__ = None

    def __and__(self, other):
        return self._builder.add("And", self, other)

    def astype(self, dtype) -> "Value":
        """The same numbers as another type; fractions are cut off, as NumPy does."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._builder.add("Cast", self, dtype=dtype, to=kind)


class GraphBuilder:
    """Collects the nodes and constants of one graph."""

    def __init__(self):
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._count = 0

    def add(self, op: str, *inputs, dtype=None, name: str = "", **attributes) -> Value:
        """Add a node.

        Args:
            op: the ONNX operator.
            inputs: Values, arrays or numbers; a number gets the type of the first Value.
            dtype: of the output; that of the first input, if not given.
            name: of the output; a number, if not given.
            attributes: of the operator.
        """
        like = next((i.dtype for i in inputs if isinstance(i, Value)), None)
        values = [self._value(i, like) for i in inputs]
        output = Value(self, name or self._name(op), dtype or values[0].dtype)
        names = [value.name for value in values]
        self._nodes.append(helper.make_node(op, names, [output.name], **attributes))
        return output

    def where(self, condition: Value, yes, no) -> Value:
        """``yes if condition else no``, element by element; one of them may be a number."""
        dtype = (yes if isinstance(yes, Value) else no).dtype
        yes, no = (self._value(item, dtype) for item in (yes, no))
        return self.add("Where", condition, yes, no, dtype=dtype)

    def constant(self, array, name: str = "") -> Value:
        """A constant tensor, stored in the file."""
        array = np.asarray(array)
        name = name or self._name("constant")
        self._constants.append(numpy_helper.from_array(array, name))
        return Value(self, name, array.dtype)

    def repeat(self, count: Value, step: Callable, *state: Value) -> tuple[Value, ...]:
        """``for i in range(count): state, extra = step(i, *state)``, as a Loop node.

        Args:
            count: int64 scalar.
            step: called once, with Values; it gives the new state, and behind it what is to
                be stacked along a new first axis.
            state: what the first step gets; shapes stay the same from step to step.

        Returns:
            tuple of Value: the last state, and the stacks.
        """
        outer, self._nodes = self._nodes, []
        number = Value(self, self._name("step"), np.int64)
        going = Value(self, self._name("going"), bool)
        before = [Value(self, self._name("state"), value.dtype) for value in state]
        after = _tuple(step(number, *before))
        still_going = self.add("Identity", going)
        body = helper.make_graph(
            self._nodes,
            "step",
            [_info(number, ()), _info(going, ()), *map(_info, before)],
            [_info(still_going, ()), *map(_info, after)],
        )
        self._nodes = outer
        results = [Value(self, self._name("Loop"), value.dtype) for value in after]
        inputs = [count.name, self.constant(np.array(True)).name]
        inputs += [value.name for value in state]
        outputs = [value.name for value in results]
        self._nodes.append(helper.make_node("Loop", inputs, outputs, body=body))
        return tuple(results)

    def choose(self, condition: Value, yes: Callable, no: Callable) -> Value:
        """``yes() if condition else no()``, of which only one is computed: an If node.

        Args:
            condition: bool scalar.
            yes, no: called once each; both give one Value of the same type.
        """
        branches = {}
        for name, branch in (("then_branch", yes), ("else_branch", no)):
            outer, self._nodes = self._nodes, []
            result = self.add("Identity", branch())
            branches[name] = helper.make_graph(self._nodes, name, [], [_info(result)])
            self._nodes = outer
        chosen = Value(self, self._name("If"), result.dtype)
        node = helper.make_node("If", [condition.name], [chosen.name], **branches)
        self._nodes.append(node)
        return chosen

    def model(
        self, inputs: list[tuple[Value, list]], outputs: list[tuple[Value, list]]
    ) -> onnx.ModelProto:
        """The model, its inputs and outputs with their shapes (a name is a free dimension)."""
        graph = helper.make_graph(
            self._nodes,
            "squeezenet_fcn",
            [_info(*pair) for pair in inputs],
            [_info(*pair) for pair in outputs],
            initializer=self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(
            graph,
            opset_imports=[opset],
            ir_version=_IR_VERSION,
            producer_name="squeezenet-fcn",
        )

    def _value(self, item, like: np.dtype | None) -> Value:
        if isinstance(item, Value):
            return item
        plain = isinstance(item, numbers.Number) and not isinstance(item, np.generic)
        return self.constant(np.array(item, like if plain else None))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"


def _tuple(values) -> tuple:
    return values if isinstance(values, tuple) else (values,)


def _info(value: Value, shape=None) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(value.name, kind, shape)
