"""How much the cards can do: a model of capacity, from measured figures. Pure: it starts and asks nothing."""
